import { keyOf, type AttemptInTemporal, type NodeContext } from './context.js';
import { refuseLeft } from './run.js';

/**
 * Ends an attempt whose job was canceled. What ended by itself before the cause was on record keeps its outcome (R5).
 * @throws NotEndedError while something of it is left; Temporal repeats it
 */
export async function end(context: NodeContext, ref: AttemptInTemporal): Promise<void> {
  refuseLeft(await context.attempts.end(keyOf(ref), 'cancel', await cancelReason(context, ref)));
}

/** Why the job was canceled, as its history has it: from our API, or from whoever used Temporal itself. */
async function cancelReason({ client }: NodeContext, { workflow_id, run_id }: AttemptInTemporal): Promise<string> {
  const { events } = await client.workflow.getHandle(workflow_id, run_id).fetchHistory();
  const requested = events?.find((event) => event.workflowExecutionCancelRequestedEventAttributes);
  return requested?.workflowExecutionCancelRequestedEventAttributes?.cause || 'canceled on request';
}
