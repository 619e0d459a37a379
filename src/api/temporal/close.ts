import proto from '@temporalio/proto';
import { workflowIdOf, type JobName } from '../../job/names.js';
import { Problem } from '../problem.js';
import { grpc, hasGrpcCode, type Temporal } from './connection.js';

/** Temporal waits until a second before a call's deadline, and from then on answers at once that there is nothing new. Twice that. */
const unpolledMs = 2000;
const { HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT } = proto.temporal.api.enums.v1.HistoryEventFilterType;

/**
 * Waits until a run has closed, by a long poll that Temporal answers at the moment.
 * @param waitMs at most this long
 * @param signal ends the wait, and the poll with it
 * @returns whether it has closed; a run that isn't there counts as closed
 */
export async function untilClosed(
  engine: Temporal,
  job: JobName,
  runId: string,
  waitMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  if (waitMs <= 0) return false;
  const until = Date.now() + waitMs;
  const overdue = new AbortController();
  const timer = setTimeout(() => overdue.abort(), waitMs);
  const isOver = AbortSignal.any([signal, overdue.signal]);
  try {
    return await pollUntilClosed(engine, job, runId, until, isOver);
  } finally {
    clearTimeout(timer);
  }
}

/** Until it has closed (true), or `signal` is aborted. @param until ms since 1970; when that will be at the latest */
async function pollUntilClosed(
  engine: Temporal,
  job: JobName,
  runId: string,
  until: number,
  signal: AbortSignal,
): Promise<boolean> {
  const execution = { workflowId: workflowIdOf(job), runId };
  let nextPageToken: Uint8Array | undefined;
  while (!signal.aborted) {
    const request = {
      namespace: engine.namespace,
      execution,
      waitNewEvent: true,
      historyEventFilterType: HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
      ...(nextPageToken !== undefined && { nextPageToken }),
    };
    try {
      const answer = await engine.call((service) => service.getWorkflowExecutionHistory(request), {
        timeoutMs: until - Date.now() + unpolledMs,
        signal,
      });
      if ((answer.history?.events?.length ?? 0) > 0) return true;
      // An empty answer is the server's way to keep the poll short; without a token it starts from the beginning.
      nextPageToken = answer.nextPageToken.length > 0 ? answer.nextPageToken : undefined;
    } catch (error) {
      if (hasGrpcCode(error, grpc.NOT_FOUND)) return true;
      if (hasGrpcCode(error, grpc.CANCELLED)) return false;
      // The wait is over, or Temporal is away: whoever asks for the job next learns it.
      if (error instanceof Problem) return false;
      throw error;
    }
  }
  return false;
}
