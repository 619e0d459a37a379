import { randomUUID } from 'node:crypto';
import { encodeToPayloads } from '@temporalio/common/lib/internal-non-workflow/index.js';
import { jobIdOf, workflowIdOf } from '../../job/names.js';
import { tasksOf } from '../../job/progress.js';
import { signals, type Abandonment } from '../../job/protocol.js';
import { isFinished, placementOf } from '../../job/state.js';
import type { ApiContext } from '../context.js';
import { Problem } from '../problem.js';
import { grpc, hasGrpcCode } from '../temporal/connection.js';
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
  const node = await context.nodes.see(placement.node);
  if (node?.live === true)
    throw new Problem(
      'node-live',
      `Node ${placement.node} is live: it was heard of at ${node.lastSeen}. Cancel ${jobId} instead, and its processes are ended`,
    );
  const tasks = tasksOf(run.activities.find(({ type }) => type === 'run')?.heartbeat);
  await signal(context, run, { attempt: placement.attempt, reason, tasks });
}

async function signal(
  { temporal }: ApiContext,
  { job, runId }: SeenRun['run'],
  abandonment: Abandonment,
): Promise<void> {
  const { namespace, identity, converter } = temporal;
  const input = { payloads: (await encodeToPayloads(converter, abandonment)) ?? [] };
  const workflowExecution = { workflowId: workflowIdOf(job), runId };
  const request = {
    namespace,
    identity,
    workflowExecution,
    signalName: signals.abandon,
    input,
    requestId: randomUUID(),
  };
  try {
    await temporal.call((service) => service.signalWorkflowExecution(request));
  } catch (error) {
    if (!hasGrpcCode(error, grpc.NOT_FOUND)) throw error;
    throw new Problem('job-finished', `${jobIdOf(job)} has finished; there is nothing to abandon`);
  }
}
