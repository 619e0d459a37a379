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
 * their files. A run that starts meanwhile is not touched. May be repeated after any failure.
 * @param latest the finished run that the name has
 * @throws Problem `job-deleting` when Temporal takes longer than a minute; `job-entering`
 */
export async function removeJob(context: ApiContext, latest: RunEvidence): Promise<void> {
  const { temporal, store } = context;
  const { job, runId } = latest;
  if (isForeground(latest)) throw stillEntering(job);
  const until = Date.now() + patienceMs;
  const older = (await runIdsOf(temporal, job)).filter((id) => id !== runId);
  const closed = [];
  for (const id of older) {
    const run = await describeRun(temporal, job, id);
    if (run !== undefined && run.closed !== null && run.createdAt <= latest.createdAt) closed.push(id);
  }
  for (const runs of [closed, [runId]]) {
    await Promise.all(runs.map((id) => requestDeletion(temporal, job, id)));
    for (const id of runs) {
      await untilGone(temporal, job, id, until);
      await store.remove(job, id);
    }
  }
  await removeLeftFiles(context, job);
}

/** The problem of what can't be done with a job that ran in the foreground before Temporal has it. */
export function stillEntering(job: JobName): Problem {
  return new Problem(
    'job-entering',
    `${jobIdOf(job)} ran in the foreground, because Temporal was away, and is entered into Temporal when that is back. Repeat the request then`,
    { headers: { 'retry-after': '5' } },
  );
}

/** Removes the files of runs that Temporal no longer knows: a deletion was interrupted. Whether there were any. */
export async function removeLeftFiles({ temporal, store }: ApiContext, job: JobName): Promise<boolean> {
  let removed = false;
  for (const id of await store.runIds(job)) {
    if ((await describeRun(temporal, job, id)) !== undefined) continue;
    await store.remove(job, id);
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
