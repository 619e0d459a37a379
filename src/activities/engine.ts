import { WorkflowNotFoundError, type WorkflowExecutionDescription } from '@temporalio/client';
import { sharedTaskQueue, type JobMemo } from '../job/protocol.js';
import { endOf, type Ending } from '../job/step-outcome.js';
import { stepsInMemo } from '../job/step-protocol.js';
import { tenantSignals, tenantWorkflowId, tenantWorkflowType, type AdmissionRequest } from '../job/tenant-protocol.js';
import { equals } from '../job/visibility.js';
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
    lookAtStep: (workflowId, outputs) => lookAtStep(context, workflowId, outputs),
    knowsOtherStart: (jobWorkflowId, step, runId) => knowsOtherStart(context, jobWorkflowId, step, runId),
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

async function lookAtStep(
  context: NodeContext,
  workflowId: string,
  outputs: string[],
): Promise<{ run_id: string; ending: Ending | null }> {
  const description = await describeWorkflow(context, workflowId);
  if (description === undefined)
    return { run_id: '', ending: { closed: 'it was started, and Temporal does not know it any more' } };
  const run_id = description.raw.workflowExecutionInfo?.firstRunId || description.runId;
  if (isOpen(description)) return { run_id, ending: null };
  const { outcome, attempts = [] } = (description.memo ?? {}) as Partial<JobMemo>;
  if (outcome !== undefined) return { run_id, ending: endOf(outputs, outcome, attempts.at(-1)?.attempt ?? null) };
  return {
    run_id,
    ending: { closed: `its workflow was closed in Temporal (${description.status.name.toLowerCase()})` },
  };
}

async function knowsOtherStart(
  { client }: NodeContext,
  jobWorkflowId: string,
  step: string,
  runId: string,
): Promise<boolean> {
  for await (const { memo = {} } of client.workflow.list({ query: equals('WorkflowId', jobWorkflowId) })) {
    const known = stepsInMemo(memo).get(step)?.run_id ?? '';
    if (known !== '' && known !== runId) return true;
  }
  return false;
}
