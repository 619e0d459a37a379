import { MockActivityEnvironment } from '@temporalio/testing';
import { expect, it } from 'vitest';
import { withLifeline } from '../../src/activities/lifeline.js';
import type { RunHeartbeat } from '../../src/job/protocol.js';

it('tells at once how a host stands that has begun or ended, and what else is new with the next regular heartbeat', async () => {
  const environment = new MockActivityEnvironment();
  const told: RunHeartbeat[] = [];
  environment.on('heartbeat', (details: RunHeartbeat) => told.push(details));
  const started: RunHeartbeat = { started_at: '2026-01-01T00:00:00Z', tasks_done: 0, message: null };
  const all: RunHeartbeat[] = [
    { ...started, targets: { web1: { status: 'running' }, web2: {} } },
    { ...started, targets: { web1: { status: 'running' }, web2: { status: 'running' } } },
    { ...started, targets: { web1: { status: 'running', message: 'slow' }, web2: { status: 'running' } } },
    { ...started, tasks_done: 1, targets: { web1: { status: 'failed', rc: 1 }, web2: { status: 'running' } } },
  ];
  await environment.run(() =>
    withLifeline(3_600_000, (lifeline) => {
      for (const details of all) lifeline.tell(details);
      return Promise.resolve();
    }),
  );
  expect(told).toEqual([all[0], all[1], all[3]]);
});
