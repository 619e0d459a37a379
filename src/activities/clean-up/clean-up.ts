import type { NodeContext } from '../context.js';
import { deleteExpiredRuns } from './expired-runs.js';
import { LeftFiles } from './left-files.js';
import { cancelOrphanedSteps } from './steps.js';

/** One round of clean-up after another: what nobody waits for is canceled; what has expired goes from Temporal, and then from this node's disk. */
export function createCleanUp(context: NodeContext): (signal: AbortSignal) => Promise<void> {
  const leftFiles = new LeftFiles(context);
  return async (signal) => {
    await cancelOrphanedSteps(context, signal);
    await deleteExpiredRuns(context, signal);
    await leftFiles.remove(signal);
  };
}
