import { decodeArrayFromPayloads } from '@temporalio/common/lib/internal-non-workflow/index.js';
import type { temporal } from '@temporalio/proto';
import type { Placement, PlaceRequest } from '../job/protocol.js';
import type { PrepareRequest, TargetPlace, TargetsPlacement } from '../job/target-protocol.js';
import type { NodeContext } from './context.js';
import { describeWorkflow } from './engine.js';

type HistoryEvent = temporal.api.history.v1.IHistoryEvent;
type Asked = Pick<PlaceRequest, 'workflow_id' | 'run_id' | 'attempt'>;

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
  request: Asked,
  currentRunId: string,
): Promise<Placement | undefined> {
  return (await formerAnswers<Placement>(context, request, 'place', currentRunId))[0];
}

/** The same for an attempt on target hosts: where it was prepared, by host, and by which node if only that reaches them. */
export async function formerPlaces(
  context: NodeContext,
  request: Pick<PrepareRequest, 'workflow_id' | 'run_id' | 'attempt'>,
  currentRunId: string,
): Promise<{ node: string | null; places: Record<string, TargetPlace> }> {
  const answers = await formerAnswers<TargetsPlacement>(context, request, 'prepareTargets', currentRunId);
  const places = Object.assign({}, ...answers.map((answer) => answer.places)) as Record<string, TargetPlace>;
  return { node: answers.find(({ node }) => node !== null)?.node ?? null, places };
}

/** What an activity had answered, about this attempt, in the latest of the former runs in which it had. */
async function formerAnswers<T extends { attempt: number }>(
  context: NodeContext,
  { workflow_id, run_id, attempt }: Asked,
  activity: string,
  currentRunId: string,
): Promise<T[]> {
  let runId = currentRunId;
  while (runId !== run_id) {
    const base: string | undefined = baseOf(await historyOf(context, workflow_id, runId), runId);
    if (base === undefined) return [];
    const answers = await answersIn<T>(context, await historyOf(context, workflow_id, base), activity);
    const ofAttempt = answers.filter((answer) => answer.attempt === attempt);
    if (ofAttempt.length > 0) return ofAttempt;
    runId = base;
  }
  return [];
}

/** The run that was reset to begin this one. */
function baseOf(events: HistoryEvent[], runId: string): string | undefined {
  const reset = events.find((event) => event.workflowTaskFailedEventAttributes?.newRunId === runId);
  return reset?.workflowTaskFailedEventAttributes?.baseRunId ?? undefined;
}

async function answersIn<T>({ client }: NodeContext, events: HistoryEvent[], activity: string): Promise<T[]> {
  const asked = events.filter(
    ({ activityTaskScheduledEventAttributes: scheduled }) => scheduled?.activityType?.name === activity,
  );
  const ids = new Set(asked.map(({ eventId }) => String(eventId)));
  const answers: T[] = [];
  for (const { activityTaskCompletedEventAttributes: completed } of events) {
    if (completed == null || !ids.has(String(completed.scheduledEventId))) continue;
    const [answer] = (await decodeArrayFromPayloads(
      client.options.loadedDataConverter,
      completed.result?.payloads,
    )) as [T?];
    if (answer !== undefined) answers.push(answer);
  }
  return answers;
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
