import type { WorkflowExecutionInfo } from '@temporalio/client';
import type { JobName } from '../../job/names.js';
import type { Outcome } from '../../job/outcome.js';
import { isGivenUp } from '../../job/target-outcome.js';
import type { StoredRun } from '../../store/run-folders.js';
import type { NodeContext } from '../context.js';
import { findRun, memoOf, stepsOf } from './temporal-runs.js';

/**
 * Whether nothing of a closed run lives. One that closed by itself has said so. Of one that was closed in Temporal, and
 * of an attempt or host that was given up, only the node can tell; where it never comes back, Temporal's retention ends the matter.
 * One of several steps is over when they are.
 */
export async function isOver(context: NodeContext, job: JobName, run: WorkflowExecutionInfo): Promise<boolean> {
  const { kind, placement, attempts = [], outcome } = memoOf(run);
  if (kind === 'steps') return areStepsOver(context, job, run.runId);
  const nodes = attempts.filter(({ outcome }) => isNodeLost(outcome)).map(({ node }) => node);
  const isOnHosts = kind === 'task' && placement != null;
  if (isOnHosts && Object.values(outcome?.targets ?? {}).some(isGivenUp)) nodes.push(null);
  if (outcome === undefined && placement != null) nodes.push(placement.node);
  if (nodes.length === 0) return true;
  // Without a node it was on target hosts: whoever has watched it there knows.
  const known = await findRun(context, job, run.runId);
  if (known === undefined) return true;
  const stored: StoredRun = { job, runId: known.evidenceRunId };
  const isHere = (node: string | null): boolean | Promise<boolean> =>
    node === null ? hasWatched(context, stored) : node === context.nodeId;
  for (const node of nodes) if (!(await isHere(node))) return false;
  return !(await mayLive(context, stored));
}

async function areStepsOver(context: NodeContext, job: JobName, runId: string): Promise<boolean> {
  const known = await findRun(context, job, runId);
  if (known === undefined) return true;
  for await (const { name, run } of stepsOf(context, job, known.evidenceRunId))
    if (run.closeTime === undefined || !(await isOver(context, name, run))) return false;
  return true;
}

async function hasWatched({ folders }: NodeContext, { job, runId }: StoredRun): Promise<boolean> {
  return (await folders.attempts(job, runId)).length > 0;
}

function isNodeLost(outcome: Outcome): boolean {
  return outcome.status === 'failed' && outcome.failure.kind === 'node_lost';
}

/**
 * Whether anything of a run may live on this node: one of its attempts holds a slot, or has not ended, or left processes without
 * an outcome, or something of it may live on target hosts. What a playbook left running after a natural end is not the run's any more.
 */
export async function mayLive(context: NodeContext, { job, runId }: StoredRun): Promise<boolean> {
  const { slots, folders, ledger } = context;
  if (await ledger.isOpen(runId)) return true;
  const taken = await slots.taken();
  if (taken.some(({ holder }) => holder?.run_id === runId)) return true;
  for (const attempt of await folders.attempts(job, runId))
    if (await attemptMayLive(context, { ...job, runId, attempt })) return true;
  return false;
}

async function attemptMayLive(
  { attempts }: NodeContext,
  key: Parameters<NodeContext['attempts']['look']>[0],
): Promise<boolean> {
  if ((await attempts.settled(key)) !== undefined) return false;
  const { state } = await attempts.look(key);
  if (state === 'running' || state === 'claimed') return true;
  if (state === 'finished' || state === 'void') return false;
  return (await attempts.members(key)).length > 0;
}
