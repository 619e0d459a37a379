import {
  decodeFromPayloadsAtIndex,
  decodeMapFromPayloads,
} from '@temporalio/common/lib/internal-non-workflow/index.js';
import { optionalTsToDate, requiredTsToDate } from '@temporalio/common/lib/time.js';
import proto, { type temporal } from '@temporalio/proto';
import type { PendingActivity, RunClose, RunEvidence } from '../../job/evidence.js';
import { workflowIdOf, type JobName } from '../../job/names.js';
import type { JobMemo, RunHeartbeat } from '../../job/protocol.js';
import { grpc, hasGrpcCode, type Temporal } from './connection.js';
import { failureOfWorkflowTask, reasonOfCancel, reasonOfTermination } from './history.js';

const { PendingActivityState, WorkflowExecutionStatus } = proto.temporal.api.enums.v1;
type Description = temporal.api.workflowservice.v1.IDescribeWorkflowExecutionResponse;

/**
 * What Temporal knows of a run, by one call; a second one only where a run was terminated or its workflow tasks fail.
 * @param runId the latest run if not given
 * @returns undefined if there is no such run
 */
export async function describeRun(engine: Temporal, job: JobName, runId?: string): Promise<RunEvidence | undefined> {
  const workflowId = workflowIdOf(job);
  try {
    const { namespace } = engine;
    const description = await engine.call((service) =>
      service.describeWorkflowExecution({
        namespace,
        execution: { workflowId, ...(runId !== undefined && { runId }) },
      }),
    );
    return await evidenceOf(engine, job, description);
  } catch (error) {
    // Also when it was deleted between the calls.
    if (hasGrpcCode(error, grpc.NOT_FOUND)) return undefined;
    throw error;
  }
}

async function evidenceOf(engine: Temporal, job: JobName, description: Description): Promise<RunEvidence> {
  const info = description.workflowExecutionInfo ?? {};
  const runId = info.execution?.runId ?? '';
  const memo: Partial<JobMemo> = (await decodeMapFromPayloads(engine.converter, info.memo?.fields)) ?? {};
  // A Reset begins another run of what was begun before.
  const beginning = requiredTsToDate(
    description.workflowExtendedInfo?.originalStartTime ?? info.startTime,
    'startTime',
  );
  const fails = (description.pendingWorkflowTask?.attempt ?? 1) > 1;
  return {
    job,
    runId,
    evidenceRunId: memo.foreground?.run_id ?? (info.firstRunId || runId),
    createdAt: memo.foreground?.created_at ?? beginning.toISOString(),
    closed: await closeOf(engine, job, runId, description),
    cancelRequested: description.workflowExtendedInfo?.cancelRequested ?? false,
    memo,
    activities: await Promise.all(
      (description.pendingActivities ?? []).filter(isAskedFor).map((activity) => pendingActivity(engine, activity)),
    ),
    failingTask: fails ? await failureOfWorkflowTask(engine, job, runId) : null,
  };
}

async function closeOf(
  engine: Temporal,
  job: JobName,
  runId: string,
  { workflowExecutionInfo, workflowExtendedInfo }: Description,
): Promise<RunClose | null> {
  const info = workflowExecutionInfo ?? {};
  const as = closedAs(info.status);
  if (as === null) return null;
  const reason = await reasonOfClose(as, engine, job, runId);
  return {
    as,
    at: requiredTsToDate(info.closeTime, 'closeTime').toISOString(),
    reason,
    continuedBy: workflowExtendedInfo?.resetRunId || null,
  };
}

async function reasonOfClose(
  as: RunClose['as'],
  ...run: Parameters<typeof reasonOfTermination>
): Promise<string | null> {
  if (as === 'terminated') return reasonOfTermination(...run);
  return as === 'canceled' ? reasonOfCancel(...run) : null;
}

/** How a workflow was closed; null while it is open. */
export function closedAs(
  status: temporal.api.enums.v1.WorkflowExecutionStatus | null | undefined,
): RunClose['as'] | null {
  switch (status) {
    case WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING:
    case WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED:
      return null;
    case WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED:
      return 'completed';
    case WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED:
      return 'failed';
    case WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED:
      return 'canceled';
    case WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED:
      return 'terminated';
    case WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
      return 'timed_out';
    default:
      return 'other';
  }
}

/** What the workflow has called back may take a while to learn it. */
function isAskedFor({ state }: temporal.api.workflow.v1.IPendingActivityInfo): boolean {
  return state !== PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED;
}

async function pendingActivity(
  { converter }: Temporal,
  activity: temporal.api.workflow.v1.IPendingActivityInfo,
): Promise<PendingActivity> {
  const payloads = activity.heartbeatDetails?.payloads;
  const heartbeat =
    payloads == null || payloads.length === 0
      ? null
      : await decodeFromPayloadsAtIndex<RunHeartbeat | null>(converter, 0, payloads);
  return {
    type: activity.activityType?.name ?? '',
    taken: activity.state === PendingActivityState.PENDING_ACTIVITY_STATE_STARTED,
    lastFailure: failureMessage(activity.lastFailure),
    heardAt: optionalTsToDate(activity.lastHeartbeatTime)?.toISOString() ?? null,
    heartbeat,
  };
}

function failureMessage(failure: temporal.api.failure.v1.IFailure | null | undefined): string | null {
  if (failure == null) return null;
  return failure.timeoutFailureInfo == null
    ? (failure.message ?? '')
    : 'nothing was heard of its node for longer than the heartbeat timeout';
}
