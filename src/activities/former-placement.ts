import { decodeArrayFromPayloads } from '@temporalio/common/lib/internal-non-workflow/index.js';
import type { temporal } from '@temporalio/proto';
import type { Placement, PlaceRequest } from '../job/protocol.js';
import type { NodeContext } from './context.js';
import { describeWorkflow } from './engine.js';

type HistoryEvent = temporal.api.history.v1.IHistoryEvent;

const historyTimeoutMs = 5_000;

/** A run whose history would tell is gone from Temporal. */
export class RunGoneError extends Error {
  override readonly name = 'RunGoneError';
}

/**
 * Where the attempt was placed by a run that the asking one continues after a Reset in Temporal (R5): it may live there,
 * and its token is in that run's history. Undefined if none placed it.
 * @throws RunGoneError when the history of such a run is gone: whether it placed the attempt can't be known then
 */
export async function formerPlacement(
  context: NodeContext,
  { workflow_id, run_id, attempt }: PlaceRequest,
  currentRunId: string,
): Promise<Placement | undefined> {
  let runId = currentRunId;
  while (runId !== run_id) {
    const base: string | undefined = baseOf(await historyOf(context, workflow_id, runId), runId);
    if (base === undefined) return undefined;
    const placement = await placementIn(context, await historyOf(context, workflow_id, base), attempt);
    if (placement !== undefined) return placement;
    runId = base;
  }
  return undefined;
}

/** The run that was reset to begin this one. */
function baseOf(events: HistoryEvent[], runId: string): string | undefined {
  const reset = events.find((event) => event.workflowTaskFailedEventAttributes?.newRunId === runId);
  return reset?.workflowTaskFailedEventAttributes?.baseRunId ?? undefined;
}

async function placementIn(
  { client }: NodeContext,
  events: HistoryEvent[],
  attempt: number,
): Promise<Placement | undefined> {
  const places = events.filter(
    ({ activityTaskScheduledEventAttributes: scheduled }) => scheduled?.activityType?.name === 'place',
  );
  const ids = new Set(places.map(({ eventId }) => String(eventId)));
  for (const { activityTaskCompletedEventAttributes: completed } of events) {
    if (completed == null || !ids.has(String(completed.scheduledEventId))) continue;
    const [placement] = (await decodeArrayFromPayloads(
      client.options.loadedDataConverter,
      completed.result?.payloads,
    )) as [Placement?];
    if (placement?.attempt === attempt) return placement;
  }
  return undefined;
}

async function historyOf(context: NodeContext, workflowId: string, runId: string): Promise<HistoryEvent[]> {
  try {
    const handle = context.client.workflow.getHandle(workflowId, runId);
    const { events } = await context.client.withDeadline(Date.now() + historyTimeoutMs, () => handle.fetchHistory());
    return events ?? [];
  } catch (error) {
    if ((await describeWorkflow(context, workflowId, runId)) !== undefined) throw error;
    throw new RunGoneError(
      `Run ${runId}, which it continues after a Reset, is gone from Temporal: whether this attempt was started can't be known`,
      { cause: error },
    );
  }
}
