import { setTimeout as delay } from 'node:timers/promises';
import { jobIdOf, type JobName } from '../../job/names.js';
import { differingFields, type JobSpec } from '../../job/spec.js';
import { isClosing, isFinished } from '../../job/state.js';
import { Problem } from '../problem.js';
import { untilClosed } from '../temporal/close.js';
import { specOfRun } from '../temporal/history.js';
import { startJob, type Order, type StartResult } from '../temporal/start.js';
import { temporalUnavailable, type Temporal } from '../temporal/connection.js';
import type { Jobs } from './jobs.js';

/** How long a submission that asks for a rerun waits for a decided run to close. */
const closingWaitMs = 10_000;
const closingLookMs = 1_000;
const orphanLookMs = 250;

/** The run that a submission led to; `created` if it began with it. */
export interface Submitted {
  runId: string;
  created: boolean;
}

/**
 * Submits a job under its name: starts a run, or finds the one that is there, or refuses (design: "Same name again").
 * Whether a run starts is Temporal's one atomic decision, never a check before it; but what an operator terminated in
 * Temporal is given time to end on its node, so that a rerun doesn't run beside it.
 * @param signal the client is gone
 * @throws Problem `job-conflict`, `job-closing`, `temporal-unavailable`
 */
export async function submit(
  { temporal, jobs, order }: { temporal: Temporal; jobs: Jobs; order: Order },
  job: JobName,
  spec: JobSpec,
  signal: AbortSignal,
): Promise<Submitted> {
  const until = Date.now() + closingWaitMs;
  if (spec.when_finished !== 'return') await untilOrphanEnded(jobs, job, until, signal);
  for (;;) {
    signal.throwIfAborted();
    const result = await startJob(temporal, job, spec, order);
    if (result.found === 'started') return { runId: result.runId, created: true };
    const given = await specOfRun(temporal, job, result.runId);
    // Deleted since: the name is free.
    if (given !== undefined) {
      if (!(await isClosingForRerun(jobs, job, spec, result))) {
        refuseOther(job, given, spec);
        return { runId: result.runId, created: false };
      }
      await untilClosed(temporal, job, result.runId, Math.min(closingLookMs, until - Date.now()), signal);
    } else {
      await delay(50, undefined, { signal });
    }
    if (Date.now() >= until) throw stillClosing(job, result.runId);
  }
}

/** The problem of a submission that failed with `error`: while Temporal is away, what the caller can rely on. */
export function problemOfSubmission(error: unknown, isNamed: boolean): unknown {
  if (!(error instanceof Problem) || error.type !== 'temporal-unavailable') return error;
  const detail = isNamed
    ? 'Temporal did not answer, so it is not known whether the name is taken, or was given to this job just now. Repeat the request later: that starts it once at most'
    : 'Temporal did not answer, so it is not known whether the job was started. With a name or an Idempotency-Key, a repeated request finds it instead of starting another one';
  return temporalUnavailable(error.cause, detail);
}

/** Waits while the latest run is closed in Temporal and yet something of it may live. */
async function untilOrphanEnded(jobs: Jobs, job: JobName, until: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    const seen = await jobs.see(job);
    if (seen === undefined || seen.run.closed === null || isFinished(seen.state)) return;
    if (Date.now() >= until) throw stillClosing(job, seen.run.runId);
    await delay(orphanLookMs, undefined, { signal });
  }
}

/** Whether the run that a rerun was asked for is decided and about to close: then it is waited for. */
async function isClosingForRerun(
  jobs: Jobs,
  job: JobName,
  spec: JobSpec,
  { found, runId }: StartResult,
): Promise<boolean> {
  if (spec.when_finished === 'return' || found !== 'open') return false;
  const seen = await jobs.see(job, runId);
  return seen === undefined || seen.run.closed !== null || isClosing(seen.run);
}

function refuseOther(job: JobName, given: JobSpec, spec: JobSpec): void {
  const fields = differingFields(given, spec);
  if (fields.length === 0) return;
  throw new Problem(
    'job-conflict',
    `${jobIdOf(job)} exists with another spec. Different: ${fields.join(', ')}. Use another name, or the same spec`,
    {
      errors: fields.map((field) => ({ pointer: `/${field}`, detail: 'differs from the job of this name' })),
      members: { job_id: jobIdOf(job), differing_fields: fields },
    },
  );
}

function stillClosing(job: JobName, runId: string): Problem {
  return new Problem(
    'job-closing',
    `${jobIdOf(job)} has ended or was canceled, and its run ${runId} is still closing. Repeat the request`,
    {
      headers: { 'retry-after': '5' },
    },
  );
}
