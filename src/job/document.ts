import { z } from 'zod';
import type { RunEvidence } from './evidence.js';
import { Failure } from './failure.js';
import { jobIdOf } from './names.js';
import { HostStats, LeftProcess, OmittedOutputs, Outputs, Stats, TargetResult, type Outcome } from './outcome.js';
import type { LiveProgress } from './progress.js';
import { jobKinds } from './spec.js';
import { isFinished, placementOf, watchingOf, type JobState } from './state.js';
import { SubmittedSpec } from './submitted-spec.js';

export const JobStatus = z
  .enum(['pending', 'running', 'canceling', 'successful', 'failed', 'canceled'])
  .describe('`canceling` until every process of the job is verifiably gone');
export type JobStatus = z.infer<typeof JobStatus>;

const Time = z.iso.datetime().describe('RFC 3339, UTC');

export const Progress = z.object({
  stage: z.enum(['placing', 'waiting', 'starting', 'running', 'ending', 'ended']),
  percent: z
    .number()
    .nullable()
    .describe(
      'Of the work of the current attempt; null while unknown. Within an attempt it never goes back; it is 100 when, and only when, the job has ended, in whichever way',
    ),
  message: z.string().nullable().describe('What it does, or waits for, now'),
  tasks_done: z.int().describe('Results so far: one for each task on each host, skipped ones too; a loop is one task'),
  tasks_total: z
    .int()
    .nullable()
    .describe('With those that are known to come; it changes with what hosts and includes do. Null while unknown'),
  eta: Time.nullable().describe(
    'When it will likely end, by earlier successful runs of the same playbook on its node; null without any',
  ),
});
export type Progress = z.infer<typeof Progress>;

export const AttemptSummary = z.object({
  attempt: z.int(),
  node: z.string().nullable().describe('Null while it is on target hosts that any node can reach'),
  status: JobStatus,
  failure: Failure.nullable(),
  rc: z.int().nullable(),
  started_at: Time.nullable(),
  finished_at: Time.nullable(),
  leftovers: z.array(LeftProcess).describe('Processes that the attempt left running; they were not killed'),
  late: z
    .object({ status: JobStatus, rc: z.int().nullable(), finished_at: Time })
    .optional()
    .describe('What its node reported after the attempt had been given up'),
});
export type AttemptSummary = z.infer<typeof AttemptSummary>;

export const HostSummary = HostStats.extend({ status: z.enum(['ok', 'failed', 'unreachable']) });

export const Result = z.object({
  rc: z.int().nullable(),
  stdout: z.string().describe('The whole output up to 64 KiB, else its last lines within 64 KiB'),
  stdout_truncated: z.boolean(),
  stats: Stats,
  outputs: Outputs,
  outputs_omitted: OmittedOutputs.optional(),
});
export type Result = z.infer<typeof Result>;

export const Links = z.object({
  self: z.string(),
  stdout: z.string(),
  runs: z.string(),
  job: z.string().optional().describe('Of a step: the run of the job that it is part of'),
  cancel: z.string().optional().describe('While it can be canceled'),
  temporal: z.string().optional().describe("The run in Temporal's Web UI, where that is known"),
});
export type Links = z.infer<typeof Links>;

/** A step as the document of its job has it; more is in its own. */
export const StepDocument = z
  .object({
    name: z.string(),
    kind: z.enum(['playbook', 'task']),
    title: z.string().describe('What it runs, in one line'),
    needs: z.array(z.string()),
    status: z
      .enum([...JobStatus.options, 'skipped'])
      .describe('`pending` also while it waits for those that it needs; `skipped`: it will not be started'),
    failure: Failure.nullable(),
    rc: z.int().nullable(),
    attempt: z.int().nullable().describe('The current or last attempt; null before it was started'),
    started_at: Time.nullable(),
    finished_at: Time.nullable(),
    percent: z.number().nullable().describe('Of its current attempt; null while unknown'),
    outputs: Outputs.optional().describe('What it hands on, where that is short; else it is in its own document'),
    links: z.object({ self: z.string(), stdout: z.string() }).nullable().describe('Null before it was started'),
  })
  .meta({ id: 'Step' });
export type StepDocument = z.infer<typeof StepDocument>;

/** What a caller sees of a job. Times are RFC 3339 UTC, and created_at <= started_at <= finished_at. */
export const JobDocument = z
  .object({
    job_id: z.string(),
    run_id: z.string(),
    name: z.string(),
    playbook_name: z.string(),
    tenant: z.string(),
    workspace: z.string(),
    kind: z.enum(jobKinds),
    title: z.string().describe('What it runs, in one line'),
    playbook: z.string().nullable().describe('Null for other kinds'),
    spec: SubmittedSpec.nullable().describe('Null for a run that an earlier version began'),
    status: JobStatus,
    failure: Failure.nullable(),
    error: z.string().nullable().describe('Why it failed or was canceled, in one line'),
    execution_mode: z
      .enum(['workflow', 'foreground'])
      .describe('`foreground`: it ran without Temporal, which was away; see `fallback_reason`'),
    fallback_reason: z.string().nullable().describe('Why it ran in the foreground'),
    attempt: z.int().describe('The current or last attempt, from 1'),
    attempts: z.array(AttemptSummary),
    node: z.string().nullable(),
    created_at: Time,
    queued_at: Time,
    started_at: Time.nullable().describe('When the current or last attempt started'),
    finished_at: Time.nullable(),
    progress: Progress,
    hosts: z
      .record(z.string(), z.union([HostSummary, TargetResult]))
      .describe(
        "Of a playbook Ansible's counters; of other kinds how it stands on each host. Live while it runs; of very many hosts only some, those in trouble first",
      ),
    steps: z.array(StepDocument).optional().describe('Of a job of several steps, in the order of its spec'),
    recent_logs: z.array(z.string()).describe('The last 20 lines of output'),
    output_available: z.boolean(),
    result: Result.nullable().describe('Null until it is finished'),
    metadata: z.record(z.string(), z.unknown()),
    links: Links,
  })
  .meta({ id: 'Job' });
export type JobDocument = z.infer<typeof JobDocument>;

/** What is read of the current or last attempt's output. */
export interface OutputSummary {
  available: boolean;
  recentLines: string[];
  /** The whole output or its end; null where it was not read because the job has not finished. */
  text: string | null;
  truncated: boolean;
  progress: LiveProgress;
}

/**
 * Assembles the document of a run from its evidence, the state that the evidence shows, and its output.
 * @param steps those of a run of several
 */
export function documentOf(
  run: RunEvidence,
  state: JobState,
  output: OutputSummary,
  links: Links,
  steps?: StepDocument[],
): JobDocument {
  const { job, memo } = run;
  const { progress } = output;
  const outcome = isFinished(state) && 'outcome' in state ? state.outcome : null;
  const times = orderedTimes(run, state, outcome);
  const stats = outcome?.stats ?? {};
  const failure = state.status === 'failed' ? state.failure : null;
  const done = hostsDone(outcome) ?? progress.tasksDone;
  return {
    job_id: jobIdOf(job),
    run_id: run.runId,
    name: job.name,
    playbook_name: job.playbookName,
    tenant: job.tenant,
    workspace: memo.workspace ?? 'default',
    kind: memo.kind ?? 'playbook',
    title: memo.title ?? memo.playbook ?? '',
    playbook: memo.playbook ?? null,
    spec: memo.spec ?? null,
    status: state.status,
    failure,
    error: state.status === 'failed' || state.status === 'canceled' ? oneLine(state.message) : null,
    execution_mode: memo.foreground === undefined ? 'workflow' : 'foreground',
    fallback_reason: memo.foreground?.reason ?? null,
    attempt: attemptNumber(run, state),
    attempts: attemptsOf(run, state),
    node: placementOf(run)?.node ?? memo.attempts?.at(-1)?.node ?? null,
    ...times,
    progress: {
      stage: state.stage,
      percent: isFinished(state) ? 100 : progress.percent,
      message: isDoing(run, state) ? (progress.message ?? state.message) : state.message,
      tasks_done: done,
      tasks_total: state.status === 'successful' || outcome?.targets !== undefined ? done : progress.tasksTotal,
      eta: state.status === 'running' ? progress.eta : null,
    },
    hosts: isFinished(state)
      ? { ...hostsOf(stats), ...outcome?.targets }
      : { ...hostsOf(progress.hosts), ...progress.targets },
    ...(steps !== undefined && { steps }),
    recent_logs: output.recentLines,
    output_available: output.available,
    result: isFinished(state) ? resultOf(outcome, output) : null,
    metadata: memo.metadata ?? {},
    links,
  };
}

function resultOf(outcome: Outcome | null, { text, truncated }: OutputSummary): Result {
  const { rc = null, stats = {}, outputs = {}, outputs_omitted } = outcome ?? {};
  const omitted = outputs_omitted === undefined ? {} : { outputs_omitted };
  return { rc, stdout: text ?? '', stdout_truncated: truncated, stats, outputs, ...omitted };
}

/** On how many hosts work on target hosts has ended; undefined of other work. */
function hostsDone(outcome: Outcome | null): number | undefined {
  if (outcome?.targets === undefined) return undefined;
  return Object.keys(outcome.targets).length + (outcome.targets_omitted ?? 0);
}

/** Whether the state's message is what the playbook does, as last heard, and not what hinders it. */
function isDoing(run: RunEvidence, state: JobState): boolean {
  if (state.status !== 'running') return false;
  const heartbeat = watchingOf(run)[0]?.heartbeat;
  return state.message === (heartbeat?.message ?? null) && heartbeat?.unusual !== true;
}

function attemptNumber(run: RunEvidence, state: JobState): number {
  const done = run.memo.attempts?.length ?? 0;
  return placementOf(run)?.attempt ?? (isFinished(state) ? Math.max(1, done) : done + 1);
}

function attemptsOf(run: RunEvidence, state: JobState): AttemptSummary[] {
  const recorded = (run.memo.attempts ?? []).map(({ attempt, node, outcome, late }) => ({
    attempt,
    node,
    status: outcome.status,
    failure: outcome.status === 'failed' ? outcome.failure : null,
    rc: outcome.rc,
    started_at: outcome.started_at,
    finished_at: outcome.finished_at,
    leftovers: outcome.leftovers,
    ...(late !== undefined && { late: { status: late.status, rc: late.rc, finished_at: late.finished_at } }),
  }));
  const current = placementOf(run);
  if (current === null || recorded.some(({ attempt }) => attempt === current.attempt)) return recorded;
  const outcome = 'outcome' in state ? state.outcome : null;
  const open: AttemptSummary = {
    ...current,
    status: state.status,
    failure: state.status === 'failed' ? state.failure : null,
    rc: outcome?.rc ?? null,
    started_at: startOf(state),
    finished_at: outcome?.finished_at ?? null,
    leftovers: outcome?.leftovers ?? [],
  };
  return [...recorded, open];
}

function startOf(state: JobState): string | null {
  if ('startedAt' in state) return state.startedAt;
  return 'outcome' in state ? (state.outcome?.started_at ?? null) : null;
}

/** Temporal's clock and the node's may differ by a little; a document never ends before it began. */
function orderedTimes(
  run: RunEvidence,
  state: JobState,
  outcome: Outcome | null,
): Pick<JobDocument, 'created_at' | 'queued_at' | 'started_at' | 'finished_at'> {
  const start = startOf(state);
  const started = start === null ? null : later(run.createdAt, start);
  const end = isFinished(state) ? (outcome?.finished_at ?? run.closed?.at ?? null) : null;
  return {
    created_at: run.createdAt,
    queued_at: run.createdAt,
    started_at: started,
    finished_at: end === null ? null : later(started ?? run.createdAt, end),
  };
}

function later(one: string, other: string): string {
  return Date.parse(one) > Date.parse(other) ? one : other;
}

function hostsOf(stats: Stats): JobDocument['hosts'] {
  return Object.fromEntries(
    Object.entries(stats).map(([host, counters]) => [host, { status: hostStatus(counters), ...counters }]),
  );
}

function hostStatus({ unreachable, failures }: HostStats): 'ok' | 'failed' | 'unreachable' {
  if (unreachable > 0) return 'unreachable';
  return failures > 0 ? 'failed' : 'ok';
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}
