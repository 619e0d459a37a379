import type { StoredRun } from '../../store/run-folders.js';
import type { NodeContext } from '../context.js';

/**
 * Whether anything of a run may live on this node: one of its attempts holds a slot, or has not ended, or left processes
 * without an outcome,
 * or something of it may live on target hosts. What a playbook left running after a natural end is not the run's any more.
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
