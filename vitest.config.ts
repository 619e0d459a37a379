import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // The Temporal SDK's native part crashes in worker threads.
    pool: 'forks',
    testTimeout: 180_000,
    hookTimeout: 120_000,
  },
});
