import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { NodeContext } from '../../src/activities/context.js';
import { Milestones } from '../../src/activities/milestones.js';
import type { Milestone, RunHeartbeat } from '../../src/job/protocol.js';

beforeEach(() => vi.useFakeTimers({ toFake: ['Date'] }));
afterEach(() => vi.useRealTimers());

/** A workflow that takes milestones, and those that it was told. */
function workflow() {
  const told: Milestone[] = [];
  const signal = (_name: string, milestone: Milestone): Promise<void> => {
    told.push(milestone);
    return Promise.resolve();
  };
  const client = {
    workflow: { getHandle: () => ({ signal }) },
    withDeadline: <T>(_deadline: number, call: () => Promise<T>) => call(),
  };
  const context = { client, log: pino({ level: 'silent' }) } as unknown as NodeContext;
  const watch = (former?: RunHeartbeat): Milestones =>
    new Milestones(context, { attempt: 1 }, { workflowId: 'w', runId: 'r' }, former);
  return { told, watch };
}

const minute = 60_000;

it('the workflow of a job of a week is told of it six times, ever less often, also by one worker after another', async () => {
  const { told, watch } = workflow();
  const start = Date.now();
  let heartbeat: RunHeartbeat = { started_at: new Date(start).toISOString(), tasks_done: 0, message: null, percent: 7 };
  for (let passed = 0; passed <= 7 * 24 * 60; passed += 1) {
    vi.setSystemTime(start + passed * minute + 1_000);
    const milestones = watch(heartbeat);
    heartbeat = milestones.note(heartbeat);
    await Promise.resolve();
    await Promise.resolve();
    heartbeat = milestones.note(heartbeat);
  }
  const minutes = told.map(({ at }) => Math.floor((Date.parse(at ?? '') - start) / minute));
  expect(minutes).toEqual([0, 1, 4, 16, 64, 256]);
  expect(told[1]).toMatchObject({ attempt: 1, percent: 7, started_at: heartbeat.started_at });
});

it('what a worker was away for is told once', async () => {
  const { told, watch } = workflow();
  const milestones = watch();
  const heartbeat = { started_at: new Date(Date.now() - 100 * minute).toISOString(), tasks_done: 3, message: 'Wait' };
  for (let look = 0; look < 5; look += 1) {
    milestones.note(heartbeat);
    await Promise.resolve();
    await Promise.resolve();
  }
  expect(told).toHaveLength(1);
});

it('what runs by a clock that is ahead is told of as soon as any other', () => {
  const { told, watch } = workflow();
  const milestones = watch();
  const heartbeat = { started_at: new Date(Date.now() + 60 * minute).toISOString(), tasks_done: 0, message: null };
  milestones.note(heartbeat);
  expect(told).toHaveLength(0);
  vi.setSystemTime(Date.now() + 1_100);
  milestones.note(heartbeat);
  expect(told).toHaveLength(1);
});
