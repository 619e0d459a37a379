import { readFileSync } from 'node:fs';
import path from 'node:path';
import { heartbeat } from '@temporalio/activity';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packageRoot } from '../../src/config.js';
import { jobWorkflowType, nodeTaskQueue, type JobInput, type Placement } from '../../src/job/protocol.js';
import type { Outcome } from '../../src/job/outcome.js';
import { JobSpec } from '../../src/job/spec.js';
import { quietRuntime } from './quiet-runtime.js';
import { timeSkipping } from './time-skipping.js';

/** A job of days, in compressed time on Temporal's test server. Its activities are stand-ins that only let time pass. */
quietRuntime();
const root = packageRoot();
const bundle = { code: readFileSync(path.join(root, 'dist', 'workflow-bundle.js'), 'utf8') };
const hourMs = 3_600_000;

let environment: TestWorkflowEnvironment;
beforeAll(async () => {
  environment = await timeSkipping();
});
afterAll(() => environment.teardown());

it('the history of a job that runs for days is as small as that of any other', async () => {
  const node = 'days';
  const workflowId = 'default/long/days';
  const begun = await environment.currentTimeMs();
  const place = (): Promise<Placement> =>
    Promise.resolve({
      node,
      attempt: 1,
      token: 't',
      boot: 'b',
      heartbeat_timeout_ms: 24 * hourMs,
      retry_interval_ms: 1000,
    });
  const run = async (): Promise<Outcome> => {
    const started_at = new Date(await environment.currentTimeMs()).toISOString();
    for (let hour = 0; hour < 3 * 24; hour += 1) {
      heartbeat({ started_at, tasks_done: hour, message: `hour ${hour}` });
      await environment.sleep(hourMs);
    }
    const finished_at = new Date(await environment.currentTimeMs()).toISOString();
    return { status: 'successful', rc: 0, stats: {}, started_at, finished_at, leftovers: [] };
  };
  const common = { connection: environment.nativeConnection, workflowBundle: bundle };
  const shared = await Worker.create({ ...common, taskQueue: 'days', activities: { place } });
  const ofNode = await Worker.create({
    ...common,
    taskQueue: nodeTaskQueue(node),
    activities: { run },
    maxHeartbeatThrottleInterval: 1,
  });
  const spec = JobSpec.parse({ playbook: 'long.yml', timeout: 10 * 365 * 24 * 3600 });
  const input: JobInput = { tenant: 'default', playbook_name: 'long', name: 'days', spec };
  const outcome = await shared.runUntil(
    ofNode.runUntil(
      environment.client.workflow.execute<(input: JobInput) => Promise<Outcome>>(jobWorkflowType, {
        taskQueue: 'days',
        workflowId,
        args: [input],
      }),
    ),
  );
  expect(outcome.status).toBe('successful');
  expect((await environment.currentTimeMs()) - begun).toBeGreaterThanOrEqual(3 * 24 * hourMs);
  const { events } = await environment.client.workflow.getHandle(workflowId).fetchHistory();
  expect(events!.length).toBeLessThan(30);
});
