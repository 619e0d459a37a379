import { jobIdOf } from '../../job/names.js';
import { tasksOf } from '../../job/progress.js';
import { signals, type Abandonment } from '../../job/protocol.js';
import { isFinished, placementOf } from '../../job/state.js';
import type { ApiContext } from '../context.js';
import { Problem } from '../problem.js';
import { grpc, hasGrpcCode } from '../temporal/connection.js';
import { signalRun } from '../temporal/signal.js';
import type { SeenRun } from './jobs.js';

/**
 * Gives a job's attempt up: an operator says that nothing of it is to be waited for (R4). Only where its node is silent; on a
 * live one a cancel ends it truly.
 * @throws Problem `job-finished`, `job-not-placed`, `node-live`
 */
export async function abandonJob(context: ApiContext, { run, state }: SeenRun, reason: string): Promise<void> {
  const placement = placementOf(run);
  const jobId = jobIdOf(run.job);
  if (isFinished(state) || run.closed !== null)
    throw new Problem('job-finished', `${jobId} has finished; there is nothing to abandon`);
  if (placement === null)
    throw new Problem('job-not-placed', `${jobId} is on no node now; there is nothing to abandon. Cancel it instead`);
  const node = placement.node === null ? undefined : await context.nodes.see(placement.node);
  if (node?.live === true)
    throw new Problem(
      'node-live',
      `Node ${placement.node} is live: it was heard of at ${node.lastSeen}. Cancel ${jobId} instead, and its processes are ended`,
    );
  const tasks = tasksOf(run.activities.find(({ type }) => type === 'run')?.heartbeat);
  const abandonment: Abandonment = { attempt: placement.attempt, reason, tasks };
  try {
    await signalRun(context.temporal, run, signals.abandon, abandonment);
  } catch (error) {
    if (!hasGrpcCode(error, grpc.NOT_FOUND)) throw error;
    throw new Problem('job-finished', `${jobId} has finished; there is nothing to abandon`);
  }
}
