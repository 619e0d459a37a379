import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { defaultPayloadConverter, defineSearchAttributeKey } from '@temporalio/common';
import proto from '@temporalio/proto';
import type { Client } from '@temporalio/client';
import { packageRoot } from '../../src/config.js';
import type { JobStatus } from '../../src/job/document.js';
import { failureKinds, type FailureKind } from '../../src/job/failure.js';
import type { Outcome } from '../../src/job/outcome.js';
import { jobWorkflowType, sharedTaskQueue, type JobInput } from '../../src/job/protocol.js';
import { attributesAtStart, playbookAttribute } from '../../src/job/search-attributes.js';
import { JobSpec } from '../../src/job/spec.js';
import { pick } from './chaos.js';

/** A run as a test knows it. Times are microseconds since 1970. */
export interface Run {
  runId: string;
  tenant: string;
  workspace: string;
  playbook: string;
  playbook_name: string;
  name: string;
  status: JobStatus;
  failure: FailureKind | null;
  node: string | null;
  schedule: string | null;
  start: number;
  close: number | null;
}

/** How a workflow ended, or that it didn't. */
export const ways = ['completed', 'failed', 'canceled', 'terminated', 'timed_out', 'elsewhere', 'open'] as const;
export type Way = (typeof ways)[number];

export const pools = {
  workspace: ['default', 'ops', 'w~1', 'a%b', 'x+y=z@q'],
  playbook: [
    'site.yml',
    'a/b.yml',
    'a,b.yml',
    "o'brien.yml",
    'back\\slash.yml',
    'dou"ble.yml',
    '100%.yml',
    '%27.yml',
    'größe 日本.yml',
    'semi;--?:x $1 `y` /*.yml',
    `${'long/'.repeat(50)}x.yml`,
  ],
  playbook_name: ['site', 'a.b', 'deploy', 'web~1', 'x%2F'],
  node: ['node-1', 'node-2', 'node-3'],
  schedule: ['nightly', 'hourly'],
  status: ['pending', 'running', 'canceling', 'successful', 'failed', 'canceled'] as const,
  failure: failureKinds,
};

const day = 86_400_000_000;

/** A run that might have been, of the last day, so that nothing of it has passed its ttl. */
export function randomRun(random: () => number, tenant: string, number: number): { run: Run; way: Way } {
  // Mostly ended ones; some begin and end in the same instant as others.
  const way = random() < 0.03 ? 'open' : pick(random, ways.slice(0, -1));
  const now = Math.floor(Date.now() / 1000) * 1_000_000;
  const exact = random() < 0.8;
  const start =
    now - 0.9 * day + (exact ? Math.floor(random() * day * 0.8) : Math.floor(random() * 19) * 3_600_000_000);
  const close = way === 'open' ? null : start + (exact ? Math.floor(random() * 0.1 * day) : 60_000_000);
  const failure = way === 'failed' ? pick(random, failureKinds) : null;
  const run: Run = {
    runId: randomUUID(),
    tenant,
    workspace: pick(random, pools.workspace),
    playbook: pick(random, pools.playbook),
    playbook_name: pick(random, pools.playbook_name),
    name: `job-${Math.floor(number / 2)}`,
    status: way === 'open' ? pick(random, ['pending', 'running', 'canceling'] as const) : statusOf[way],
    failure,
    node: random() < 0.9 ? pick(random, pools.node) : null,
    schedule: random() < 0.3 ? pick(random, pools.schedule) : null,
    start,
    close,
  };
  return { run, way };
}

const statusOf: Record<Exclude<Way, 'open'>, JobStatus> = {
  completed: 'successful',
  failed: 'failed',
  canceled: 'canceled',
  terminated: 'canceled',
  timed_out: 'failed',
  elsewhere: 'canceled',
};

/** Attributes of which each value is there once, so that their columns can be told. */
const keyAttributes = {
  tenant: 'key-tenant',
  workspace: 'key-workspace',
  playbook: 'key.yml',
  playbook_name: 'key',
  name: 'key-name',
  status: 'failed',
  failure: 'lost',
  node: 'key-node',
  schedule: 'key-schedule',
};

/** Real workflows, one of each way; their run ids. What ends by itself does so through the worker of the service. */
export async function makeModels(client: Client): Promise<Record<Way | 'key', string>> {
  const start = (name: string, outcome?: Outcome, more: object = {}): Promise<string> =>
    startJob(client, {
      tenant: 'models',
      playbook_name: 'model',
      name,
      workspace: 'models',
      ...(outcome && { outcome }),
      ...more,
    });
  const key = await startJob(client, {
    ...{ tenant: keyAttributes.tenant, playbook_name: keyAttributes.playbook_name, name: keyAttributes.name },
    ...{ workspace: keyAttributes.workspace, playbook: keyAttributes.playbook, schedule: keyAttributes.schedule },
    ...{ node: keyAttributes.node, outcome: outcomeOf('failed', 'lost') },
  });
  const models = {
    completed: await start('completed', outcomeOf('successful', null)),
    failed: await start('failed', outcomeOf('failed', 'exit')),
    elsewhere: await start('elsewhere', outcomeOf('canceled', null)),
    canceled: await start('canceled', undefined, { taskQueue: sharedTaskQueue, playbook: 'long.yml' }),
    terminated: await start('terminated'),
    timed_out: await start('timed_out', undefined, { workflowExecutionTimeout: '1s' }),
    open: await start('open'),
    key,
  };
  await client.workflow.getHandle('models/model/terminated').terminate('for a test');
  await client.workflow.getHandle('models/model/canceled').cancel();
  return models;
}

export interface NewJob {
  tenant: string;
  workspace: string;
  playbook_name: string;
  name: string;
  playbook?: string;
  schedule?: string;
  node?: string;
  /** It ends with this at once, through the worker. */
  outcome?: Outcome;
  /** Without an outcome: who takes it up; nobody unless given. */
  taskQueue?: string;
  workflowExecutionTimeout?: string;
}

/** Starts a job's workflow as the API does, but for what is given; its run id. */
export async function startJob(client: Client, job: NewJob): Promise<string> {
  const { tenant, playbook_name, name, workspace, playbook = 'hello.yml', outcome, schedule, node = 'node-1' } = job;
  const spec = { ...JobSpec.parse({ playbook: 'hello.yml', workspace }), playbook };
  const input: JobInput = {
    ...{ tenant, playbook_name, name, spec },
    ...(outcome && { foreground: { attempts: [{ attempt: 1, node, outcome }], outcome } }),
  };
  const attributes = { ...attributesAtStart(input), ...(schedule !== undefined && { schedule: [schedule] }) };
  const handle = await client.workflow.start(jobWorkflowType, {
    workflowId: `${tenant}/${playbook_name}/${name}`,
    taskQueue: outcome === undefined ? (job.taskQueue ?? 'nobody') : sharedTaskQueue,
    args: [input],
    memo: { tenant, playbook_name, name, playbook, workspace, metadata: {}, ttl: 86_400 },
    typedSearchAttributes: Object.entries(attributes).map(([attribute, [value = '']]) => ({
      key: defineSearchAttributeKey(attribute, 'KEYWORD'),
      value,
    })),
    ...(job.workflowExecutionTimeout !== undefined && { workflowExecutionTimeout: '1s' }),
  });
  return handle.firstExecutionRunId;
}

export function outcomeOf(status: Outcome['status'], failure: FailureKind | null): Outcome {
  const times = { started_at: '2026-11-22T09:00:00.000Z', finished_at: '2026-11-22T09:00:01.000Z' };
  const ended = { rc: 0, stats: {}, ...times, leftovers: [] };
  if (status === 'failed') return { status, failure: { kind: failure ?? 'exit', message: 'it failed' }, ...ended };
  return status === 'canceled' ? { status, reason: 'a test', ...ended } : { status, ...ended };
}

/** Clones the models, in the database of a stopped Temporal, into these runs. */
export function cloneRuns(
  dataDir: string,
  models: Record<Way | 'key', string>,
  runs: readonly { run: Run; way: Way }[],
): void {
  const clones = runs.map(({ run, way }) => ({
    of: models[way],
    workflow_id: `${run.tenant}/${run.playbook_name}/${run.name}`,
    run_id: run.runId,
    start: run.start,
    close: run.close,
    attributes: attributesOf(run, way),
    memo: memoOf(run, way),
  }));
  const input = JSON.stringify([{ of: models.key, attributes: keyAttributes }, ...clones]);
  const python = path.join(packageRoot(), '.venv', 'bin', 'python');
  const script = path.join(packageRoot(), 'test', 'service', 'clone_runs.py');
  execFileSync(python, [script, path.join(dataDir, 'temporal', 'temporal.db')], {
    input,
    stdio: ['pipe', 'inherit', 'inherit'],
  });
}

function attributesOf(run: Run, way: Way): Record<string, string> {
  const { tenant, workspace, playbook_name, name, failure, node, schedule } = run;
  // Who was closed by others had no last word.
  const status = way === 'terminated' || way === 'timed_out' ? 'running' : run.status;
  const all = { tenant, workspace, playbook_name, name, status, failure, node, schedule };
  const given = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== null);
  return { ...Object.fromEntries(given), playbook: playbookAttribute(run.playbook) };
}

function memoOf(run: Run, way: Way): string {
  const { tenant, workspace, playbook, playbook_name, name, node } = run;
  const outcome =
    way === 'completed' || way === 'failed' || way === 'canceled' || way === 'elsewhere'
      ? outcomeOf(run.status as Outcome['status'], run.failure)
      : undefined;
  const placement = node === null ? null : { node, attempt: 1 };
  const memo = { tenant, workspace, playbook, playbook_name, name, placement, metadata: {}, ttl: 86_400, outcome };
  const fields = Object.fromEntries(
    Object.entries(memo)
      .filter(([, value]) => value !== undefined)
      .map(([field, value]) => [field, defaultPayloadConverter.toPayload(value)]),
  );
  return Buffer.from(proto.temporal.api.common.v1.Memo.encode({ fields }).finish()).toString('base64');
}
