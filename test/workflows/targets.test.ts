import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packageRoot } from '../../src/config.js';
import type { FailureKind } from '../../src/job/failure.js';
import type { Outcome, TargetResult } from '../../src/job/outcome.js';
import { jobWorkflowType, type JobInput, type JobMemo } from '../../src/job/protocol.js';
import { JobSpec } from '../../src/job/spec.js';
import {
  targetsTaskQueue,
  type PrepareRequest,
  type TargetsPlacement,
  type TargetsRef,
} from '../../src/job/target-protocol.js';
import { until } from '../service/processes.js';
import { quietRuntime } from './quiet-runtime.js';
import { timeSkipping } from './time-skipping.js';

/**
 * What the workflow decides about hosts, in compressed time on Temporal's test server. The activities are stand-ins here, because only their
 * answers matter; the real ones are under test in test/targets and test/service.
 */
quietRuntime();
const root = packageRoot();
const bundle = { code: readFileSync(path.join(root, 'dist', 'workflow-bundle.js'), 'utf8') };

let environment: TestWorkflowEnvironment;
beforeAll(async () => {
  environment = await timeSkipping();
});
afterAll(() => environment.teardown());

interface Script {
  spec?: object;
  /** Hosts that can't be reached when the first part of the first attempt is prepared. */
  late?: string[];
  /** The node that alone can watch the others; any if not said. */
  node?: string | null;
  /** Called when a further attempt is prepared; resolves when it may be. */
  further?: (cancel: () => Promise<unknown>, closed: Promise<unknown>) => Promise<unknown>;
  /** Of these, what is never reached. */
  never?: string[];
  /** Called when late hosts are waited for; resolves when they are there, or given up. */
  waiting?: (memo: () => Promise<Partial<JobMemo>>, abandon: (hosts: string[]) => Promise<unknown>) => Promise<void>;
  /** Hosts on which it can't be ended. */
  away?: string[];
  /** Hosts on which it turns out to have been ended by the cancel. */
  canceled?: string[];
  /** By host: how each attempt ends; successful if not said. */
  fails?: Record<string, FailureKind[]>;
  /** Of what fails. */
  rc?: number | null;
  /** Called when the first part of an attempt is watched; resolves when that may end. */
  meanwhile?: (handle: {
    cancel: () => Promise<unknown>;
    signal: (name: string, argument?: object) => Promise<void>;
    closed: Promise<unknown>;
    memo: () => Promise<Partial<JobMemo>>;
    /** Resolves when it is being ended somewhere. */
    ending: () => Promise<unknown>;
  }) => Promise<void>;
}

interface Seen {
  status: string;
  outcome: Outcome | undefined;
  /** Which hosts were run on, at which attempt, in this order. */
  ran: string[];
  ended: string[];
}

/** Runs a job on the hosts a, b and c. */
async function runWith({
  spec = { command: 'true' },
  late = [],
  node = null,
  never = [],
  fails = {},
  rc = null,
  away = [],
  canceled = [],
  waiting,
  further,
  meanwhile,
}: Script): Promise<Seen> {
  const seen: Seen = { status: '', outcome: undefined, ran: [], ended: [] };
  const workflowId = `default/task/${Math.random()}`;
  let told = false;
  let close: () => void = () => undefined;
  const isClosed = new Promise<void>((resolve) => (close = resolve));
  const memo = async (): Promise<Partial<JobMemo>> =>
    (await environment.client.workflow.getHandle(workflowId).describe()).memo as Partial<JobMemo>;
  const activities = {
    async prepareTargets({ attempt, hosts, since }: PrepareRequest): Promise<TargetsPlacement> {
      const abandon = async (hosts: string[]): Promise<unknown> => {
        const abandonment = { attempt, reason: 'scrap', hosts };
        await environment.client.workflow.getHandle(workflowId).signal('abandon', abandonment);
        return isClosed;
      };
      if (since !== null) await waiting?.(memo, abandon);
      if (attempt > 1) await further?.(() => environment.client.workflow.getHandle(workflowId).cancel(), isClosed);
      const all = hosts ?? ['a', 'b', 'c'];
      const unreached = since === null && attempt === 1 ? all.filter((host) => late.includes(host)) : [];
      const there = all.filter((host) => !unreached.includes(host) && !never.includes(host));
      const at = new Date(await environment.currentTimeMs()).toISOString();
      const given = since === null ? [] : all.filter((host) => never.includes(host));
      const ended = Object.fromEntries(given.map((host) => [host, resultOf('unreachable', at)]));
      const places = Object.fromEntries(there.map((host) => [host, { local: false, dir: `/${host}`, token: 't' }]));
      const watched = { node: since === null ? node : null, heartbeat_timeout_ms: 3_600_000, retry_interval_ms: 1000 };
      return { ...watched, attempt, places, ended, unreached };
    },
    async runTargets({ attempt, places }: TargetsRef): Promise<Record<string, TargetResult>> {
      const hosts = Object.keys(places);
      seen.ran.push(...hosts.map((host) => `${host}${attempt}`));
      if (meanwhile !== undefined && !told) {
        told = true;
        const handle = environment.client.workflow.getHandle(workflowId);
        const signal = (name: string, argument?: object): Promise<void> => handle.signal(name, argument);
        const ending = () => until('an end', () => seen.ended.length > 0);
        await meanwhile({ cancel: () => handle.cancel(), signal, closed: isClosed, memo, ending });
      }
      const at = new Date(await environment.currentTimeMs()).toISOString();
      const ofHost = (host: string): TargetResult =>
        canceled.includes(host)
          ? { ...resultOf(undefined, at), status: 'canceled', rc: null }
          : resultOf(fails[host]?.[attempt - 1], at, rc);
      return Object.fromEntries(hosts.map((host) => [host, ofHost(host)]));
    },
    endTargets: ({ places }: TargetsRef): Promise<void> => {
      const hosts = Object.keys(places);
      if (hosts.some((host) => away.includes(host))) return Promise.reject(new Error('away'));
      seen.ended.push(...hosts);
      return Promise.resolve();
    },
  };
  const common = { connection: environment.nativeConnection, workflowBundle: bundle };
  const taskQueue = `targets-${Math.random()}`;
  const local = { cancelReason: () => Promise.resolve('enough') };
  const workflows = await Worker.create({ ...common, taskQueue, activities: local });
  const nodes = await Worker.create({ connection: common.connection, taskQueue: targetsTaskQueue, activities });
  const input: JobInput = { tenant: 'default', playbook_name: 'task', name: 'x', spec: JobSpec.parse(spec) };
  await workflows.runUntil(
    nodes.runUntil(async () => {
      const handle = await environment.client.workflow.start(jobWorkflowType, { taskQueue, workflowId, args: [input] });
      await handle.result().catch(() => undefined);
      close();
      const { status, memo } = await handle.describe();
      seen.status = status.name;
      seen.outcome = memo?.outcome as Outcome;
    }),
  );
  return seen;
}

function resultOf(kind: FailureKind | undefined, at: string, rc: number | null = null): TargetResult {
  const ended = { rc: kind === undefined ? 0 : rc, changed: true, ansible_job_id: 'j1.1', message: null };
  const failure = kind === undefined ? null : { kind, message: kind };
  return { status: kind === undefined ? 'successful' : 'failed', failure, ...ended, started_at: at, finished_at: at };
}

it('a job is successful if it is on all hosts', async () => {
  const { status, outcome, ran } = await runWith({});
  expect(status).toBe('COMPLETED');
  expect(ran).toEqual(['a1', 'b1', 'c1']);
  expect(outcome).toMatchObject({ status: 'successful', rc: 0, targets: { a: { status: 'successful' } } });
});

it('hosts that can not be reached follow, and hold up no other', async () => {
  const { outcome, ran } = await runWith({ late: ['b'] });
  expect(ran).toEqual(['a1', 'c1', 'b1']);
  expect(outcome).toMatchObject({ status: 'successful', targets: { b: { status: 'successful' } } });
});

it('hosts where it has ended are told of while others are waited for, or run on', async () => {
  const told: Partial<JobMemo>[] = [];
  const ended = (count: number) => async (memo: () => Promise<Partial<JobMemo>>) =>
    void told.push(await until('hosts to be told of', async () => isTold(await memo(), count)));
  const isTold = (memo: Partial<JobMemo>, count: number) => memo.hosts_ended?.count === count && memo;
  await runWith({ late: ['b'], waiting: ended(2) });
  await runWith({ late: ['b'], never: ['b'], meanwhile: ({ memo }) => ended(1)(memo) });
  expect(told).toMatchObject([
    { hosts_ended: { targets: { a: { status: 'successful' }, c: { status: 'successful' } } } },
    { hosts_ended: { targets: { b: { status: 'failed', failure: { kind: 'unreachable' } } } } },
  ]);
});

it('a job fails with what failed on a host, and is not repeated unless asked', async () => {
  const { status, outcome, ran } = await runWith({ fails: { b: ['orphaned'] } });
  expect(status).toBe('FAILED');
  expect(ran).toHaveLength(3);
  expect(outcome).toMatchObject({
    failure: { kind: 'orphaned', message: '1 of 3 hosts failed: b (orphaned: orphaned)' },
  });
});

it('a further attempt is made on those hosts alone that failed', async () => {
  const retry = { max_attempts: 3, backoff: [60] };
  const { status, outcome, ran } = await runWith({
    spec: { command: 'true', retry },
    fails: { b: ['lost', 'lost'], c: ['launch'] },
  });
  expect(status).toBe('COMPLETED');
  expect(ran).toEqual(['a1', 'b1', 'c1', 'b2', 'c2', 'b3']);
  expect(Object.keys(outcome!.targets!).sort()).toEqual(['a', 'b', 'c']);
});

it('a job that failed in another way on one host is not repeated on any', async () => {
  const { ran, status } = await runWith({
    spec: { command: 'true', retry: { max_attempts: 3, backoff: [60] } },
    fails: { b: ['lost'], c: ['exit'] },
  });
  expect(status).toBe('FAILED');
  expect(ran).toHaveLength(3);
});

it('a cancel while a further attempt is prepared is one, and that attempt never was', async () => {
  const { status, outcome, ran } = await runWith({
    spec: { command: 'true', retry: { max_attempts: 2, backoff: [60] } },
    fails: { b: ['lost'] },
    further: (cancel, closed) => cancel().then(() => closed),
  });
  expect(status).toBe('CANCELLED');
  expect(outcome).toMatchObject({ status: 'canceled', reason: 'enough' });
  expect(ran).toEqual(['a1', 'b1', 'c1']);
});

it('a cancel ends it on every host, and what ended by itself stays so', async () => {
  const { ended, status } = await runWith({ meanwhile: ({ cancel }) => cancel().then(() => undefined) });
  expect(ended.sort()).toEqual(['a', 'b', 'c']);
  // The stand-in's answer came after all: the hosts' records decide.
  expect(status).toBe('COMPLETED');
});

it('a cancel waits for those hosts alone on which it was ended', async () => {
  const cancel = { meanwhile: ({ cancel }: { cancel: () => Promise<unknown> }) => cancel().then(() => undefined) };
  const some = await runWith({ away: ['a'], canceled: ['b', 'c'], ...cancel });
  expect(some).toMatchObject({ ended: ['b', 'c'], outcome: { status: 'canceled' } });
  expect(some.outcome?.targets).toMatchObject({ a: { status: 'successful' }, b: { status: 'canceled' } });
  const none = await runWith({ away: ['a'], fails: { a: ['unreachable'] }, ...cancel });
  expect(none).toMatchObject({ ended: [], outcome: { failure: { kind: 'unreachable' } } });
});

it('an adopted job is left as it is by a cancel, unless it is told to kill it', async () => {
  const spec = { adopt: { host: 'a', ansible_job_id: 'j1.2' } };
  const left = await runWith({
    spec,
    meanwhile: async ({ cancel, closed }) => {
      await cancel();
      await closed;
    },
  });
  expect(left).toMatchObject({ status: 'CANCELLED', ended: [], outcome: { status: 'canceled' } });
  const killed = await runWith({
    spec,
    meanwhile: async ({ cancel, signal }) => {
      await signal('kill');
      await cancel();
    },
  });
  expect(killed.ended.sort()).toEqual(['a', 'b', 'c']);
  const failing = (rc: number | null) =>
    runWith({
      spec,
      fails: { a: ['exit'] },
      rc,
      meanwhile: async ({ cancel, signal, ending }) => {
        await signal('kill');
        await cancel();
        await ending();
      },
    });
  // The one gave no answer.
  expect(await failing(null)).toMatchObject({
    status: 'CANCELLED',
    outcome: { targets: { a: { status: 'canceled' } } },
  });
  expect(await failing(3)).toMatchObject({ status: 'FAILED', outcome: { failure: { kind: 'exit' } } });
});

it('with a node that is given up goes what that alone can watch, and nothing else', async () => {
  const abandonment = { attempt: 1, reason: 'scrap', node: 'n1', hosts: [] };
  let placement: JobMemo['placement'];
  const { outcome, ran } = await runWith({
    node: 'n1',
    late: ['b'],
    meanwhile: async ({ signal, memo }) => {
      placement = (await memo()).placement;
      await signal('abandon', abandonment);
    },
  });
  expect(placement).toEqual({ node: 'n1', attempt: 1 });
  expect(ran).toEqual(['b1']);
  expect(outcome?.targets).toMatchObject({
    a: { failure: { kind: 'node_lost', message: 'Abandoned: scrap' } },
    b: { status: 'successful' },
    c: { failure: { kind: 'node_lost' } },
  });
});

// The last one: the test server skips no time any more once an activity was answered that nobody asks for.
it('hosts that are given up end the job on them alone: what is waited for, and what is watched', async () => {
  const givenUp = { status: 'failed', failure: { kind: 'unreachable', message: 'Abandoned: scrap' } };
  let rounds = 0;
  const waited = await runWith({
    late: ['b', 'c'],
    waiting: async (memo, abandon): Promise<void> => {
      const isFirst = rounds++ === 0;
      await until('the other one to have ended', async () => (await memo()).hosts_ended);
      await abandon(isFirst ? ['b', 'nobody'] : ['c']);
    },
  });
  expect(waited).toMatchObject({ status: 'FAILED', ran: ['a1'] });
  expect(waited.outcome?.targets).toMatchObject({ a: { status: 'successful' }, b: givenUp, c: givenUp });
  const watched = await runWith({
    meanwhile: async ({ signal, closed }) => {
      await signal('abandon', { attempt: 1, reason: 'scrap', hosts: ['b'] });
      await closed;
    },
  });
  expect(watched).toMatchObject({ status: 'FAILED', ran: ['a1', 'b1', 'c1', 'a1', 'c1'] });
  expect(watched.outcome?.targets).toMatchObject({
    a: { status: 'successful' },
    b: givenUp,
    c: { status: 'successful' },
  });
});
