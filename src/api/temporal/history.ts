import { decodeFromPayloadsAtIndex } from '@temporalio/common/lib/internal-non-workflow/index.js';
import proto, { type temporal } from '@temporalio/proto';
import { workflowIdOf, type JobName } from '../../job/names.js';
import type { JobInput } from '../../job/protocol.js';
import type { JobSpec } from '../../job/spec.js';
import { grpc, hasGrpcCode, type Temporal } from './connection.js';

const { EventType, HistoryEventFilterType } = proto.temporal.api.enums.v1;
type Event = temporal.api.history.v1.IHistoryEvent;

/** The spec that a run was started with: its first event. Undefined if there is no such run. */
export async function specOfRun(engine: Temporal, job: JobName, runId: string): Promise<JobSpec | undefined> {
  const { namespace } = engine;
  const execution = { workflowId: workflowIdOf(job), runId };
  try {
    const { history } = await engine.call((service) =>
      service.getWorkflowExecutionHistory({ namespace, execution, maximumPageSize: 1 }),
    );
    const payloads = history?.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads;
    const input = await decodeFromPayloadsAtIndex<JobInput | undefined>(engine.converter, 0, payloads);
    // Somebody else's workflow under an ID of ours has no spec: it differs in every field.
    return input?.spec ?? ({} as JobSpec);
  } catch (error) {
    if (hasGrpcCode(error, grpc.NOT_FOUND)) return undefined;
    throw error;
  }
}

/** Why a run was terminated, as whoever did it said; null if they didn't. */
export async function reasonOfTermination(engine: Temporal, job: JobName, runId: string): Promise<string | null> {
  const event = await closeEvent(engine, job, runId);
  return event?.workflowExecutionTerminatedEventAttributes?.reason || null;
}

/** Why the workflow tasks of an open run fail. */
export async function failureOfWorkflowTask(engine: Temporal, job: JobName, runId: string): Promise<string> {
  const events = await lastEvents(engine, job, runId);
  const failed = events.find(({ eventType }) => eventType === EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED);
  return failed?.workflowTaskFailedEventAttributes?.failure?.message || 'its workflow tasks time out; is a worker up?';
}

async function closeEvent(engine: Temporal, job: JobName, runId: string): Promise<Event | undefined> {
  const { namespace } = engine;
  const { history } = await engine.call((service) =>
    service.getWorkflowExecutionHistory({
      namespace,
      execution: { workflowId: workflowIdOf(job), runId },
      historyEventFilterType: HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
    }),
  );
  return history?.events?.[0];
}

async function lastEvents(engine: Temporal, job: JobName, runId: string): Promise<Event[]> {
  const { namespace } = engine;
  const execution = { workflowId: workflowIdOf(job), runId };
  const { history } = await engine.call((service) =>
    service.getWorkflowExecutionHistoryReverse({ namespace, execution, maximumPageSize: 5 }),
  );
  return history?.events ?? [];
}
