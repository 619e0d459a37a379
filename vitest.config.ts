import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // The Temporal SDK's native part crashes in worker threads.
    pool: 'forks',
    // By default there is but one on two cores, and most tests wait for processes rather than compute.
    maxWorkers: 2,
    testTimeout: 180_000,
    hookTimeout: 120_000,
  },
});
