import { WorkflowNotFoundError, type WorkflowExecutionDescription } from '@temporalio/client';
import { sharedTaskQueue } from '../job/protocol.js';
import { tenantSignals, tenantWorkflowId, tenantWorkflowType, type AdmissionRequest } from '../job/tenant-protocol.js';
import type { NodeContext } from './context.js';
import { cancelReason } from './end.js';
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
    cancelReason: (run) => cancelReason(context, run),
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
