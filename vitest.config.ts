import { configDefaults, defineConfig } from 'vitest/config';

/** What repeats through sshd and under kills what other tests have shown, and takes minutes: for `npm run chaos`. */
const long = [
  'test/ansible/agent-kills.test.ts',
  'test/ansible/agent-targets.test.ts',
  'test/collection/reservation.test.ts',
  'test/targets/ansible.test.ts',
];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(process.env.CHAOS === 'full' ? [] : long)],
    // The Temporal SDK's native part crashes in worker threads.
    pool: 'forks',
    // By default there is but one on two cores, and most tests wait for processes rather than compute.
    maxWorkers: 2,
    testTimeout: 180_000,
    hookTimeout: 120_000,
  },
});
