import { WorkflowNotFoundError, type WorkflowExecutionDescription } from '@temporalio/client';
import type { AwayNode } from '../job/node-protocol.js';
import { jobWorkflowType, sharedTaskQueue, signals, type NodeLost } from '../job/protocol.js';
import { tenantSignals, tenantWorkflowId, tenantWorkflowType, type AdmissionRequest } from '../job/tenant-protocol.js';
import { all, equals } from '../job/visibility.js';
import type { NodeContext } from './context.js';
import type { EngineActivities } from './index.js';

const describeTimeoutMs = 10_000;

/** What workflows ask of Temporal through this worker. */
export function createEngineActivities(context: NodeContext): EngineActivities {
  return {
    requestAdmission: (tenant, request) => requestAdmission(context, tenant, request),
    closedJobs: async (workflowIds) => {
      const latest = await Promise.all(workflowIds.map((workflowId) => describeWorkflow(context, workflowId)));
      return workflowIds.filter((_workflowId, index) => {
        const run = latest[index];
        return run === undefined || !isOpen(run);
      });
    },
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

/** Whether a run may still go on. One that was paused is not closed, and waits for what it has running. */
export function isOpen({ status }: Pick<WorkflowExecutionDescription, 'status'>): boolean {
  return status.name === 'RUNNING' || status.name === 'PAUSED';
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

async function giveUpJobs({ client, nodeId, log }: NodeContext, { node, since }: AwayNode): Promise<void> {
  // It is back, and will tell for itself.
  if (node === nodeId) return;
  log.warn({ node, since }, 'a node stays away; jobs that asked for it are given up');
  const lost: NodeLost = { node, since };
  const query = all(
    equals('WorkflowType', jobWorkflowType),
    equals('ExecutionStatus', 'Running'),
    equals('node', node),
  );
  for await (const { workflowId, runId } of client.workflow.list({ query })) {
    try {
      await client.workflow.getHandle(workflowId, runId).signal(signals.nodeLost, lost);
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  }
}
