import { pino } from 'pino';
import { expect, it } from 'vitest';
import type { TargetCalls } from '../../src/targets/calls.js';
import { HostWatch, type Watched } from '../../src/targets/host-watch.js';

it('a look that is too large for the way to its host is asked for less, until it comes through', async () => {
  const most = 700_000;
  const asked: number[] = [];
  const slowLink = {
    look: (_host: object, jobs: unknown[], total: number) => {
      asked.push(total);
      const reason = 'it did not answer within 60 seconds';
      return Promise.resolve(
        total > most
          ? { status: 'unreachable', reason }
          : { status: 'ok', value: jobs.map(() => ({ state: 'ready' })) },
      );
    },
  } as unknown as TargetCalls;
  const host = { inventory: '', extraVars: null, become: false, host: 'far', local: false };
  const watch = new HostWatch(host, slowLink, pino({ enabled: false }));
  await new Promise<void>((resolve) => {
    const job: Watched = {
      since: Date.now(),
      hasMore: false,
      lookedAt: (chunk) => ({ dir: '/d', marker: 'm', stdout: 0, stderr: 0, chunk }),
      seen: () => {
        watch.remove(job);
        resolve();
        return Promise.resolve();
      },
      unseen: () => watch.soon(),
      unasked: () => undefined,
    };
    watch.add(job);
  });
  expect(asked.at(-1)).toBeLessThanOrEqual(most);
  expect(asked.at(-2)).toBeGreaterThan(most);
});
