import { setTimeout as delay } from 'node:timers/promises';
import type { WorkflowExecutionInfo } from '@temporalio/client';
import { parseWorkflowId, type JobName } from '../../job/names.js';
import type { Outcome } from '../../job/outcome.js';
import { jobWorkflowType, sharedTaskQueue } from '../../job/protocol.js';
import { all, equals, isBefore, isOneOf, isUnset } from '../../job/visibility.js';
import type { NodeContext } from '../context.js';
import { removeForgotten } from './left-files.js';
import { mayLive } from './liveness.js';
import { findRun, isAway, isInvalid, listRuns, memoOf, requestDeletion, runsOf } from './temporal-runs.js';

/** How long deleted runs are waited for before the one that is to go after them; then the next clean-up goes on. */
const patienceMs = 10_000;
const lookMs = 200;

const closedJobs = all(
  equals('WorkflowType', jobWorkflowType),
  equals('TaskQueue', sharedTaskQueue),
  isOneOf('ExecutionStatus', ['Completed', 'Failed', 'Canceled', 'Terminated', 'TimedOut']),
);

/**
 * Deletes from Temporal the runs whose `ttl` has passed since their end. With the latest run of a job goes the whole job, that
 * run last, so that its name finds it until nothing of it is left. Any node may do it for all, at once with others, and
 * go on where a crash ended it.
 */
export async function deleteExpiredRuns(context: NodeContext, signal: AbortSignal): Promise<void> {
  const now = new Date();
  const queries = [
    all(closedJobs, isBefore('expires_at', now.toISOString())),
    // Closed without their last workflow task: terminated, mostly.
    all(closedJobs, isUnset('expires_at')),
  ];
  try {
    for (const query of queries) await deleteListed(context, query, now, signal);
  } catch (error) {
    // The search attribute comes with the first job.
    if (!isInvalid(error)) throw error;
    context.log.debug({ err: error }, 'Temporal has no jobs yet');
  }
}

async function deleteListed(context: NodeContext, query: string, now: Date, signal: AbortSignal): Promise<void> {
  for await (const run of listRuns(context, query)) {
    signal.throwIfAborted();
    const job = parseWorkflowId(run.workflowId);
    if (job === undefined || !hasExpired(run, now)) continue;
    try {
      await deleteExpired(context, job, run);
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
  await requestDeletion(context, job, run.runId);
  context.log.info({ ...job, runId: run.runId }, 'deleted a run whose ttl has passed');
}

/** Deletes all runs of a job but the latest; whether they are gone. */
async function deleteOlder(context: NodeContext, job: JobName, latestRunId: string): Promise<boolean> {
  const older: string[] = [];
  for await (const run of runsOf(context, job)) {
    if (run.runId === latestRunId) continue;
    if (run.closeTime === undefined || !(await isOver(context, job, run))) return false;
    older.push(run.runId);
  }
  for (const runId of older) await requestDeletion(context, job, runId);
  const until = Date.now() + patienceMs;
  for (const runId of older) {
    while ((await findRun(context, job, runId)) !== undefined) {
      if (Date.now() >= until) return false;
      await delay(lookMs);
    }
    // They may have a longer `ttl` than the job's latest run, with which all goes.
    await removeForgotten(context, { job, runId });
  }
  return true;
}

/**
 * Whether nothing of a closed run lives. One that closed by itself has said so. Of one that was closed in Temporal, and
 * of an attempt that was given up, only the node can tell; where it never comes back, Temporal's retention ends the matter.
 */
async function isOver(context: NodeContext, job: JobName, run: WorkflowExecutionInfo): Promise<boolean> {
  const { placement, attempts = [], outcome } = memoOf(run);
  const nodes = attempts.filter(({ outcome }) => isNodeLost(outcome)).map(({ node }) => node);
  if (outcome === undefined && placement != null) nodes.push(placement.node);
  if (nodes.length === 0) return true;
  // Without a node it was on target hosts: whoever has watched it there knows.
  const isHere = (node: string | null): boolean | Promise<boolean> =>
    node === null ? hasWatched(context, job, run) : node === context.nodeId;
  for (const node of nodes) if (!(await isHere(node))) return false;
  const known = await findRun(context, job, run.runId);
  return known === undefined || !(await mayLive(context, { job, runId: known.evidenceRunId }));
}

async function hasWatched({ folders }: NodeContext, job: JobName, run: WorkflowExecutionInfo): Promise<boolean> {
  return (await folders.attempts(job, run.runId)).length > 0;
}

function isNodeLost(outcome: Outcome): boolean {
  return outcome.status === 'failed' && outcome.failure.kind === 'node_lost';
}
