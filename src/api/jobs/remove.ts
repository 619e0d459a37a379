import { setTimeout as delay } from 'node:timers/promises';
import { isForeground, type RunEvidence } from '../../job/evidence.js';
import { jobIdOf, workflowIdOf, type JobName } from '../../job/names.js';
import { stepsInMemo } from '../../job/step-protocol.js';
import type { ApiContext } from '../context.js';
import { Problem } from '../problem.js';
import { grpc, hasGrpcCode, type Temporal } from '../temporal/connection.js';
import { describeRun } from '../temporal/describe.js';
import { runIdsOf, stepRunsOf } from '../temporal/runs.js';

/** How long a deletion is waited for: Temporal deletes a run that has just closed only when its other queues are done with it. */
const patienceMs = 60_000;
const lookMs = 200;

/**
 * Deletes a finished job: its runs, by run id and the latest last, so that its name finds it until it is gone; then
 * their files on this machine. A run that starts meanwhile is not touched. May be repeated after any failure.
 * @param latest the finished run that the name has
 * @throws Problem `job-deleting` when Temporal takes longer than a minute; `job-entering`
 */
export async function removeJob(context: ApiContext, latest: RunEvidence): Promise<void> {
  const { temporal } = context;
  const { job, runId } = latest;
  if (isForeground(latest)) throw stillEntering(job);
  const until = Date.now() + patienceMs;
  // By their ends: what goes on after a Reset was created as long ago as what was reset, before the runs between the two.
  const older = (await closedRuns(context, job)).filter((run) => run.runId !== runId && endOf(run) <= endOf(latest));
  await deleteSteps(temporal, job, [...older, latest], until);
  await deleteRuns(temporal, refsOf(older), until);
  await deleteRuns(temporal, refsOf([latest]), until);
  await removeForgottenFiles(context, job);
}

/** The problem of what can't be done with a job that ran in the foreground before Temporal has it. */
export function stillEntering(job: JobName): Problem {
  return new Problem(
    'job-entering',
    `${jobIdOf(job)} ran in the foreground, because Temporal was away, and is entered into Temporal when that is back. Repeat the request then`,
    { headers: { 'retry-after': '5' } },
  );
}

/**
 * Deletes what is left of a job that its name no longer finds, because a deletion was interrupted or Temporal's retention has
 * passed for its latest run. Whether there was anything.
 * @throws Problem `job-deleting` when Temporal takes longer than a minute
 */
export async function removeLeftovers(context: ApiContext, job: JobName): Promise<boolean> {
  const until = Date.now() + patienceMs;
  const runs = await closedRuns(context, job);
  const steps = await deleteSteps(context.temporal, job, 'all', until);
  await deleteRuns(context.temporal, refsOf(runs), until);
  return (await removeForgottenFiles(context, job)) || runs.length > 0 || steps > 0;
}

/** The runs of a job that have closed. */
async function closedRuns({ temporal }: ApiContext, job: JobName): Promise<RunEvidence[]> {
  const closed = [];
  for (const id of await runIdsOf(temporal, job)) {
    const run = await describeRun(temporal, job, id);
    if (run !== undefined && run.closed !== null) closed.push(run);
  }
  return closed;
}

function endOf({ closed }: RunEvidence): string {
  return closed?.at ?? '';
}

/**
 * Deletes the steps that have closed of these runs; how many.
 * @param runs 'all' where no run of the job is left to tell
 */
async function deleteSteps(
  engine: Temporal,
  job: JobName,
  runs: readonly RunEvidence[] | 'all',
  until: number,
): Promise<number> {
  if (runs !== 'all' && !runs.some(({ memo }) => memo.kind === 'steps')) return 0;
  const isOfThese = ({ step }: JobName): boolean =>
    runs === 'all' || runs.some(({ evidenceRunId }) => evidenceRunId === step?.runId);
  const listed = (await stepRunsOf(engine, job)).filter((run) => isOfThese(run.job));
  // One that has just closed may not be listed yet; its job knows it.
  const noted = runs === 'all' ? [] : runs.flatMap(notedSteps);
  const all = new Map([...noted, ...listed].map((run) => [run.runId, run]));
  const closed: RunRef[] = [];
  for (const run of all.values()) if ((await describeRun(engine, run.job, run.runId))?.closed != null) closed.push(run);
  await deleteRuns(engine, closed, until);
  return closed.length;
}

function notedSteps({ job, evidenceRunId, memo }: RunEvidence): RunRef[] {
  return [...stepsInMemo(memo)].flatMap(([name, { run_id: runId }]) =>
    runId === '' ? [] : [{ job: { ...job, step: { runId: evidenceRunId, name } }, runId }],
  );
}

/** A run of a job, or of a step. */
type RunRef = Pick<RunEvidence, 'job' | 'runId'>;

function refsOf(runs: readonly RunEvidence[]): RunRef[] {
  return runs.map(({ job, runId }) => ({ job, runId }));
}

/** Deletes runs, and waits until Temporal knows them no more. */
async function deleteRuns(engine: Temporal, runs: readonly RunRef[], until: number): Promise<void> {
  await Promise.all(runs.map((run) => requestDeletion(engine, run)));
  for (const run of runs) await untilGone(engine, run, until);
}

/** Removes the files of runs that Temporal no longer knows, unless something of them lives. Whether there were any. */
async function removeForgottenFiles(context: ApiContext, job: JobName): Promise<boolean> {
  const { temporal, store, folders } = context;
  const listed = await Promise.all((await runIdsOf(temporal, job)).map((id) => describeRun(temporal, job, id)));
  const inUse = new Set(listed.map((run) => run?.evidenceRunId));
  let removed = false;
  for (const id of await folders.of(job)) {
    const owner = await folders.ownerOf({ job, runId: id });
    // A step's stay as long as its job, which shows them.
    if (inUse.has(owner.step?.runId ?? id)) continue;
    // One that has just started may not be listed yet.
    if ((await describeRun(temporal, owner, id)) !== undefined || (await store.isHeld(id))) continue;
    await folders.remove(job, id);
    removed = true;
  }
  return removed;
}

async function requestDeletion(engine: Temporal, { job, runId }: RunRef): Promise<void> {
  const { namespace } = engine;
  const workflowExecution = { workflowId: workflowIdOf(job), runId };
  try {
    await engine.call((service) => service.deleteWorkflowExecution({ namespace, workflowExecution }));
  } catch (error) {
    if (!hasGrpcCode(error, grpc.NOT_FOUND)) throw error;
  }
}

async function untilGone(engine: Temporal, { job, runId }: RunRef, until: number): Promise<void> {
  while ((await describeRun(engine, job, runId)) !== undefined) {
    if (Date.now() >= until) {
      throw new Problem('job-deleting', `${jobIdOf(job)} is still being deleted. Repeat the request to wait for it`, {
        headers: { 'retry-after': '5' },
      });
    }
    await delay(lookMs);
  }
}
