import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packageRoot } from '../../src/config.js';
import {
  jobWorkflowType,
  nodeTaskQueue,
  type AttemptRef,
  type JobInput,
  type Placement,
} from '../../src/job/protocol.js';
import type { FailureKind } from '../../src/job/failure.js';
import type { Outcome } from '../../src/job/outcome.js';
import { JobSpec } from '../../src/job/spec.js';
import { quietRuntime } from './quiet-runtime.js';
import { timeSkipping } from './time-skipping.js';

/**
 * What the workflow decides about retries, in compressed time on Temporal's test server. The activities are stand-ins
 * here, because only their answers matter; the real ones are under test in test/service.
 */
quietRuntime();
const root = packageRoot();
const bundle = { code: readFileSync(path.join(root, 'dist', 'workflow-bundle.js'), 'utf8') };

let environment: TestWorkflowEnvironment;
beforeAll(async () => {
  environment = await timeSkipping();
});
afterAll(() => environment.teardown());

/** Runs the workflow with attempts that fail in these ways; when each was placed, in s since the first, and how it ended. */
async function runWith(kinds: readonly FailureKind[], retry?: object): Promise<{ placedAt: number[]; status: string }> {
  const placed: number[] = [];
  const now = async (): Promise<number> => environment.currentTimeMs();
  const taskQueue = `retry-${Math.random()}`;
  const node = `node-${taskQueue}`;
  const place = async ({ attempt }: { attempt: number }): Promise<Placement> => {
    placed.push(await now());
    return { node, attempt, token: 't', boot: 'b', heartbeat_timeout_ms: 60_000, retry_interval_ms: 1000 };
  };
  const run = async ({ attempt }: AttemptRef): Promise<Outcome> => {
    const at = new Date(await now()).toISOString();
    const ended = { rc: null, stats: {}, started_at: at, finished_at: at, leftovers: [] };
    const kind = kinds[attempt - 1];
    return kind === undefined
      ? { status: 'successful', ...ended }
      : { status: 'failed', failure: { kind, message: kind }, ...ended };
  };
  const common = { connection: environment.nativeConnection, workflowBundle: bundle };
  const shared = await Worker.create({ ...common, taskQueue, activities: { place } });
  const ofNode = await Worker.create({ ...common, taskQueue: nodeTaskQueue(node), activities: { run } });
  const spec = JobSpec.parse({ playbook: 'hello.yml', ...(retry !== undefined && { retry }) });
  const input: JobInput = { tenant: 'default', playbook_name: 'hello', name: 'x', spec };
  const status = await shared.runUntil(
    ofNode.runUntil(
      environment.client.workflow
        .execute(jobWorkflowType, { taskQueue, workflowId: `default/hello/${taskQueue}`, args: [input] })
        .then((outcome: Outcome) => outcome.status)
        .catch(() => 'failed'),
    ),
  );
  return { placedAt: placed.map((at) => Math.round((at - placed[0]!) / 1000)), status };
}

it('a lost attempt is followed by a second after 30 s and a third after 60 s more, and by no fourth', async () => {
  const { placedAt, status } = await runWith(['lost', 'launch', 'lost', 'lost']);
  expect(status).toBe('failed');
  expect(placedAt).toHaveLength(3);
  expect(placedAt[1]).toBeGreaterThanOrEqual(30);
  expect(placedAt[2]! - placedAt[1]!).toBeGreaterThanOrEqual(60);
});

it('what succeeds after a crash is successful', async () => {
  expect(await runWith(['lost'])).toMatchObject({ status: 'successful', placedAt: [0, expect.any(Number)] });
});

it.each(['exit', 'killed', 'timed_out', 'storage'] as const)('%s is not retried unless asked', async (kind) => {
  expect((await runWith([kind])).placedAt).toHaveLength(1);
  expect((await runWith([kind], { on: [kind], backoff: [86_400] })).placedAt[1]).toBeGreaterThanOrEqual(86_400);
});

it('a pause of years is kept', async () => {
  const years = 9 * 365 * 24 * 3600;
  expect((await runWith(['lost'], { backoff: [years] })).placedAt[1]).toBeGreaterThanOrEqual(years);
});
