import { setTimeout as delay } from 'node:timers/promises';
import { isForeground, type RunEvidence } from '../../job/evidence.js';
import { jobIdOf, workflowIdOf, type JobName } from '../../job/names.js';
import type { ApiContext } from '../context.js';
import { Problem } from '../problem.js';
import { grpc, hasGrpcCode, type Temporal } from '../temporal/connection.js';
import { describeRun } from '../temporal/describe.js';
import { runIdsOf } from '../temporal/runs.js';

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
  await deleteRuns(
    temporal,
    job,
    older.map((run) => run.runId),
    until,
  );
  await deleteRuns(temporal, job, [runId], until);
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
  const runs = await closedRuns(context, job);
  await deleteRuns(
    context.temporal,
    job,
    runs.map(({ runId }) => runId),
    Date.now() + patienceMs,
  );
  return (await removeForgottenFiles(context, job)) || runs.length > 0;
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

/** Deletes runs, and waits until Temporal knows them no more. */
async function deleteRuns(engine: Temporal, job: JobName, runIds: string[], until: number): Promise<void> {
  await Promise.all(runIds.map((id) => requestDeletion(engine, job, id)));
  for (const id of runIds) await untilGone(engine, job, id, until);
}

/** Removes the files of runs that Temporal no longer knows, unless something of them lives. Whether there were any. */
async function removeForgottenFiles(context: ApiContext, job: JobName): Promise<boolean> {
  const { temporal, store, folders } = context;
  const listed = await Promise.all((await runIdsOf(temporal, job)).map((id) => describeRun(temporal, job, id)));
  const inUse = new Set(listed.map((run) => run?.evidenceRunId));
  let removed = false;
  for (const id of await folders.of(job)) {
    // One that has just started may not be listed yet.
    if (inUse.has(id) || (await describeRun(temporal, job, id)) !== undefined || (await store.isHeld(id))) continue;
    await folders.remove(job, id);
    removed = true;
  }
  return removed;
}

async function requestDeletion(engine: Temporal, job: JobName, runId: string): Promise<void> {
  const { namespace } = engine;
  const workflowExecution = { workflowId: workflowIdOf(job), runId };
  try {
    await engine.call((service) => service.deleteWorkflowExecution({ namespace, workflowExecution }));
  } catch (error) {
    if (!hasGrpcCode(error, grpc.NOT_FOUND)) throw error;
  }
}

async function untilGone(engine: Temporal, job: JobName, runId: string, until: number): Promise<void> {
  while ((await describeRun(engine, job, runId)) !== undefined) {
    if (Date.now() >= until) {
      throw new Problem('job-deleting', `${jobIdOf(job)} is still being deleted. Repeat the request to wait for it`, {
        headers: { 'retry-after': '5' },
      });
    }
    await delay(lookMs);
  }
}
