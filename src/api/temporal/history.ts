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
  return readable(event?.workflowExecutionTerminatedEventAttributes?.reason);
}

/** Why a run was canceled, as whoever asked for it said; null if they didn't. */
export async function reasonOfCancel(engine: Temporal, job: JobName, runId: string): Promise<string | null> {
  const events = await lastEvents(engine, job, runId, 100);
  const asked = events.filter((event) => event.workflowExecutionCancelRequestedEventAttributes).at(-1);
  return readable(asked?.workflowExecutionCancelRequestedEventAttributes?.cause);
}

/** One line of what somebody gave as a reason; null if that is nothing. */
function readable(reason: string | null | undefined): string | null {
  return reason?.replace(/\p{Cc}+/gu, ' ').trim() || null;
}

/** Why the last workflow task of an open run failed. */
export async function failureOfWorkflowTask(engine: Temporal, job: JobName, runId: string): Promise<string> {
  const { EVENT_TYPE_WORKFLOW_TASK_FAILED: failed, EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: timedOut } = EventType;
  const events = await lastEvents(engine, job, runId, 5);
  const last = events.find(({ eventType }) => eventType === failed || eventType === timedOut);
  const why = last?.workflowTaskFailedEventAttributes?.failure?.message;
  return why ?? 'the worker that had taken it up did not answer; it is given to another';
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

async function lastEvents(engine: Temporal, job: JobName, runId: string, count: number): Promise<Event[]> {
  const { namespace } = engine;
  const execution = { workflowId: workflowIdOf(job), runId };
  const { history } = await engine.call((service) =>
    service.getWorkflowExecutionHistoryReverse({ namespace, execution, maximumPageSize: count }),
  );
  return history?.events ?? [];
}
