import { refuseLeft } from '../ansible/watch.js';
import { keyOf, type AttemptInTemporal, type NodeContext, type RunInTemporal } from './context.js';

const historyTimeoutMs = 5000;
const reasonCharacters = 1000;

/**
 * Ends an attempt whose job was canceled. What ended by itself before the cause was on record keeps its outcome (R5).
 * @throws NotEndedError while something of it is left; Temporal repeats it
 */
export async function end(context: NodeContext, ref: AttemptInTemporal, asking: RunInTemporal): Promise<void> {
  refuseLeft(await context.attempts.end(keyOf(ref), 'cancel', await cancelReason(context, asking)));
}

/**
 * Why the job was canceled, as its history has it: from our API, or from whoever used Temporal itself. It is there for
 * people; that it can't be had must not keep the processes alive.
 */
export async function cancelReason(
  { client, log }: NodeContext,
  { workflowId, runId }: RunInTemporal,
): Promise<string> {
  const unknown = 'on request';
  try {
    const handle = client.workflow.getHandle(workflowId, runId);
    const { events } = await client.withDeadline(Date.now() + historyTimeoutMs, () => handle.fetchHistory());
    const requested = events?.find((event) => event.workflowExecutionCancelRequestedEventAttributes);
    const reason = requested?.workflowExecutionCancelRequestedEventAttributes?.cause ?? '';
    return (
      reason
        .replace(/\p{Cc}+/gu, ' ')
        .trim()
        .slice(0, reasonCharacters) || unknown
    );
  } catch (error) {
    log.warn({ err: error, workflowId }, 'the reason of a cancel could not be read');
    return unknown;
  }
}
