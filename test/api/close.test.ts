import { expect, it } from 'vitest';
import { untilClosed } from '../../src/api/temporal/close.js';
import type { Temporal } from '../../src/api/temporal/connection.js';

/** As Temporal answers a long poll: that there is nothing new, a second before the deadline of the call; at once if that is nearer. */
function engineOfRunThatGoesOn(): { engine: Temporal; calls: () => number } {
  let calls = 0;
  const call = (_request: unknown, { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal }) =>
    new Promise((resolve, reject) => {
      calls += 1;
      const nothing = { history: { events: [] }, nextPageToken: new Uint8Array([1]) };
      const timer = setTimeout(() => resolve(nothing), Math.max(0, timeoutMs - 1000));
      const canceled = Object.assign(new Error('canceled'), { code: 1, details: '', metadata: {} });
      const abort = (): void => (clearTimeout(timer), reject(canceled));
      signal.addEventListener('abort', abort, { once: true });
    });
  return { engine: { namespace: 'default', call } as unknown as Temporal, calls: () => calls };
}

it('a wait for a run that goes on asks Temporal once, and no more when it is nearly over', async () => {
  const { engine, calls } = engineOfRunThatGoesOn();
  const job = { tenant: 'default', playbookName: 'hello', name: 'x' };
  expect(await untilClosed(engine, job, 'r', 300, new AbortController().signal)).toBe(false);
  expect(calls()).toBe(1);
});
