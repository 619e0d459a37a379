import proto, { type temporal } from '@temporalio/proto';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { NodeContext } from './context.js';

/**
 * Tells Temporal that the activities of this node's former worker have failed, so that they are repeated now and not
 * when their heartbeat times out. The worker's lock on the data folder proves that worker dead.
 * @param identityPrefix what the identities of all workers of this node begin with
 * @param identity this worker's own
 */
export async function failActivitiesOfDeadWorkers(context: NodeContext, identityPrefix: string, identity: string): Promise<void> {
  const { slots, client, log } = context;
  const seen = new Set<string>();
  for (const { holder } of await slots.taken()) {
    if (holder === undefined || seen.has(holder.run_id)) continue;
    seen.add(holder.run_id);
    const { workflow_id: workflowId, run_id: runId } = holder;
    try {
      const { raw } = await client.workflow.getHandle(workflowId, runId).describe();
      for (const activity of raw.pendingActivities ?? []) {
        if (!isOfDeadWorker(activity, identityPrefix, identity)) continue;
        await client.workflowService.respondActivityTaskFailedById({
          namespace: client.options.namespace,
          workflowId,
          runId,
          activityId: activity.activityId ?? '',
          identity,
          failure: { message: 'the worker that watched this attempt ended', source: 'longhaul', applicationFailureInfo: { type: 'WorkerEnded' } },
        });
      }
    } catch (error) {
      // Its heartbeat timeout does the same, later.
      if (!(error instanceof WorkflowNotFoundError)) log.warn({ err: error, workflowId }, 'could not tell Temporal that a worker has ended');
    }
  }
}

function isOfDeadWorker(activity: temporal.api.workflow.v1.IPendingActivityInfo, prefix: string, identity: string): boolean {
  const started = activity.state === proto.temporal.api.enums.v1.PendingActivityState.PENDING_ACTIVITY_STATE_STARTED;
  const last = activity.lastWorkerIdentity ?? '';
  return started && last.startsWith(prefix) && last !== identity;
}
