import { setTimeout as delay } from 'node:timers/promises';
import type { WorkflowExecutionInfo } from '@temporalio/client';
import { parseWorkflowId, type JobName } from '../../job/names.js';
import { jobWorkflowType, sharedTaskQueue } from '../../job/protocol.js';
import { stepWorkflowType } from '../../job/step-protocol.js';
import { all, equals, isBefore, isOneOf, isUnset } from '../../job/visibility.js';
import type { StoredRun } from '../../store/run-folders.js';
import type { NodeContext } from '../context.js';
import { EvidenceInUse } from './evidence-in-use.js';
import { removeForgotten } from './left-files.js';
import { isOver } from './liveness.js';
import { deleteOrphanedStep, stepsThatGoWith } from './steps.js';
import {
  closedStatuses,
  findRun,
  isAway,
  isInvalid,
  listRuns,
  memoOf,
  requestDeletion,
  runsOf,
} from './temporal-runs.js';

/** How long deleted runs are waited for before the one that is to go after them; then the next clean-up goes on. */
const patienceMs = 10_000;
const lookMs = 200;

const closed = (type: string): string =>
  all(equals('WorkflowType', type), equals('TaskQueue', sharedTaskQueue), isOneOf('ExecutionStatus', closedStatuses));

/**
 * Deletes from Temporal the runs whose `ttl` has passed since their end. With the latest run of a job goes the whole job, that
 * run last, so that its name finds it until nothing of it is left. Any node may do it for all, at once with others, and
 * go on where a crash ended it.
 */
export async function deleteExpiredRuns(context: NodeContext, signal: AbortSignal): Promise<void> {
  const now = new Date();
  const expired = [
    isBefore('expires_at', now.toISOString()),
    // Closed without their last workflow task: terminated, mostly.
    isUnset('expires_at'),
  ];
  try {
    for (const condition of expired) {
      await forEachExpired(context, all(closed(jobWorkflowType), condition), now, signal, deleteExpired);
      // These go with their jobs, unless somebody has deleted the job in Temporal.
      await forEachExpired(context, all(closed(stepWorkflowType), condition), now, signal, deleteOrphanedStep);
    }
  } catch (error) {
    // The search attribute comes with the first job.
    if (!isInvalid(error)) throw error;
    context.log.debug({ err: error }, 'Temporal has no jobs yet');
  }
}

async function forEachExpired(
  context: NodeContext,
  query: string,
  now: Date,
  signal: AbortSignal,
  remove: (context: NodeContext, job: JobName, run: WorkflowExecutionInfo) => Promise<void>,
): Promise<void> {
  for await (const run of listRuns(context, query)) {
    signal.throwIfAborted();
    const job = parseWorkflowId(run.workflowId);
    if (job === undefined || !hasExpired(run, now)) continue;
    try {
      await remove(context, job, run);
    } catch (error) {
      if (isAway(error)) throw error;
      context.log.error({ err: error, ...job, runId: run.runId }, 'an expired run could not be deleted');
    }
  }
}

/** By its end and its `ttl`; a workflow without one is not ours. */
function hasExpired(run: WorkflowExecutionInfo, now: Date): boolean {
  const { ttl, outcome } = memoOf(run);
  if (typeof ttl !== 'number' || run.closeTime === undefined) return false;
  const ended = outcome === undefined ? run.closeTime.getTime() : Date.parse(outcome.finished_at);
  return ended + ttl * 1000 < now.getTime();
}

async function deleteExpired(context: NodeContext, job: JobName, run: WorkflowExecutionInfo): Promise<void> {
  if (!(await isOver(context, job, run))) return;
  const latest = await findRun(context, job);
  if (latest?.runId === run.runId) {
    if (!(await deleteOlder(context, job, run.runId))) return;
  } else if (latest?.isOpen === true) {
    // One that goes on with this run after a Reset finds in its history what was placed.
    const own = await findRun(context, job, run.runId);
    if (own?.evidenceRunId === latest.evidenceRunId) return;
  }
  const steps = await stepsThatGoWith(context, job, run);
  if (!(await areDeleted(context, steps))) return;
  await requestDeletion(context, job, run.runId);
  context.log.info({ ...job, runId: run.runId }, 'deleted a run whose ttl has passed');
}

/** Deletes all runs of a job but the latest; whether they are gone. */
async function deleteOlder(context: NodeContext, job: JobName, latestRunId: string): Promise<boolean> {
  const older: StoredRun[] = [];
  const steps: StoredRun[] = [];
  for await (const run of runsOf(context, job)) {
    if (run.runId === latestRunId) continue;
    if (run.closeTime === undefined || !(await isOver(context, job, run))) return false;
    older.push({ job, runId: run.runId });
    steps.push(...(await stepsThatGoWith(context, job, run)));
  }
  for (const runs of [steps, older]) if (!(await areDeleted(context, runs))) return false;
  // They may have a longer `ttl` than the job's latest run, with which all goes.
  const evidence = new EvidenceInUse(context);
  for (const { runId } of [...steps, ...older]) await removeForgotten(context, { job, runId }, evidence);
  return true;
}

/** Deletes runs from Temporal; whether they are gone. */
async function areDeleted(context: NodeContext, runs: readonly StoredRun[]): Promise<boolean> {
  for (const { job, runId } of runs) await requestDeletion(context, job, runId);
  const until = Date.now() + patienceMs;
  for (const { job, runId } of runs) {
    while ((await findRun(context, job, runId)) !== undefined) {
      if (Date.now() >= until) return false;
      await delay(lookMs);
    }
  }
  return true;
}
