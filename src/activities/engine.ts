import { WorkflowNotFoundError, type WorkflowExecutionDescription } from '@temporalio/client';
import { decodeFromPayloadsAtIndex } from '@temporalio/common/lib/internal-non-workflow/index.js';
import type { AwayNode } from '../job/node-protocol.js';
import { tasksOf } from '../job/progress.js';
import { jobWorkflowType, sharedTaskQueue, signals, type NodeLost, type RunHeartbeat } from '../job/protocol.js';
import { tenantSignals, tenantWorkflowId, tenantWorkflowType, type AdmissionRequest } from '../job/tenant-protocol.js';
import { all, equals } from '../job/visibility.js';
import type { NodeContext } from './context.js';
import { cancelReason } from './end.js';
import type { EngineActivities } from './index.js';

const describeTimeoutMs = 10_000;

/** What workflows ask of Temporal through this worker. */
export function createEngineActivities(context: NodeContext): EngineActivities {
  return {
    requestAdmission: (tenant, request) => requestAdmission(context, tenant, request),
    closedJobs: async (workflowIds) => {
      const open = await Promise.all(workflowIds.map((workflowId) => isOpen(context, workflowId)));
      return workflowIds.filter((_workflowId, index) => open[index] === false);
    },
    cancelReason: (run) => cancelReason(context, run),
    giveUpJobs: (away) => giveUpJobs(context, away),
  };
}

/**
 * What Temporal knows of a run; the latest one without `runId`.
 * @returns undefined if there is none
 */
export async function describeWorkflow(
  { client }: Pick<NodeContext, 'client'>,
  workflowId: string,
  runId?: string,
): Promise<WorkflowExecutionDescription | undefined> {
  try {
    const handle = client.workflow.getHandle(workflowId, runId);
    return await client.withDeadline(Date.now() + describeTimeoutMs, () => handle.describe());
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** What was last heard of a job's attempt; undefined if nothing was. */
async function lastHeartbeat(
  context: NodeContext,
  workflowId: string,
  runId: string,
): Promise<RunHeartbeat | undefined> {
  const description = await describeWorkflow(context, workflowId, runId);
  const watching = description?.raw.pendingActivities?.find(({ activityType }) => activityType?.name === 'run');
  const payloads = watching?.heartbeatDetails?.payloads;
  if (payloads == null || payloads.length === 0) return undefined;
  return decodeFromPayloadsAtIndex<RunHeartbeat>(context.client.options.loadedDataConverter, 0, payloads);
}

async function requestAdmission({ client }: NodeContext, tenant: string, request: AdmissionRequest): Promise<void> {
  await client.workflow.signalWithStart(tenantWorkflowType, {
    workflowId: tenantWorkflowId(tenant),
    taskQueue: sharedTaskQueue,
    args: [{ admitted: [], waiting: [], limit: request.limit }],
    signal: tenantSignals.acquire,
    signalArgs: [request],
    staticSummary: `Admits the jobs of tenant ${tenant}`,
  });
}

async function isOpen(context: NodeContext, workflowId: string): Promise<boolean> {
  return (await describeWorkflow(context, workflowId))?.status.name === 'RUNNING';
}

async function giveUpJobs(context: NodeContext, { node, since }: AwayNode): Promise<void> {
  const { client, nodeId, log } = context;
  // It is back, and will tell for itself.
  if (node === nodeId) return;
  log.warn({ node, since }, 'a node stays away; jobs that asked for it are given up');
  const query = all(
    equals('WorkflowType', jobWorkflowType),
    equals('ExecutionStatus', 'Running'),
    equals('node', node),
  );
  for await (const { workflowId, runId } of client.workflow.list({ query })) {
    try {
      const tasks = tasksOf(await lastHeartbeat(context, workflowId, runId));
      const lost: NodeLost = { node, since, tasks };
      await client.workflow.getHandle(workflowId, runId).signal(signals.nodeLost, lost);
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  }
}
