import { pino } from 'pino';
import { expect, test } from 'vitest';
import { endTargets } from '../../src/activities/targets/end.js';
import type { TargetContext } from '../../src/activities/targets/context.js';
import type { RunHeartbeat } from '../../src/job/protocol.js';
import type { TargetHost } from '../../src/targets/host.js';

test('while one host is out of reach, a cancel asks no other again', async () => {
  const asked: string[] = [];
  const context = {
    log: pino({ level: 'silent' }),
    killGraceMs: 0,
    attempts: { folderOf: () => '/nowhere' },
    client: {
      withDeadline: (_: number, call: () => unknown) => call(),
      workflow: { getHandle: () => ({ fetchHistory: () => Promise.resolve({ events: [] }) }) },
    },
    targets: {
      inventories: { inventory: () => Promise.resolve('hosts'), variables: () => Promise.resolve(null) },
      watches: { soon: () => undefined },
      calls: {
        end: ({ host }: TargetHost) => {
          asked.push(host);
          return Promise.resolve(
            host === 'away'
              ? { status: 'unreachable', reason: 'no route to host' }
              : { status: 'ok', value: { left: [], unknown: null } },
          );
        },
      },
    },
  } as unknown as TargetContext;
  const place = { local: false, dir: '/x', token: 't' };
  const ref = {
    workflow_id: 'default/task/x',
    run_id: 'r',
    attempt: 1,
    spec: { kind: 'task' } as never,
    places: { near: place, away: place },
  };
  let told: RunHeartbeat | undefined;
  const lifeline = { tell: (heartbeat: RunHeartbeat) => (told = heartbeat), signal: new AbortController().signal };
  const end = () => endTargets(context, ref, { workflowId: ref.workflow_id, runId: 'r' }, lifeline, told);
  await expect(end()).rejects.toThrow('no route to host');
  await expect(end()).rejects.toThrow('no route to host');
  expect(asked).toEqual(['near', 'away', 'away']);
  expect(told?.unclear).toHaveProperty('away');
});
