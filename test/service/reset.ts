import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { temporal } from '@temporalio/proto';
import { until } from './processes.js';

export type ResetOptions = Partial<temporal.api.workflowservice.v1.IResetWorkflowExecutionRequest>;

/** Resets a run of a workflow (the latest if not given) to its nth workflow task, as the Web UI does; the run that goes on. */
export async function resetTo(
  client: Client,
  workflowId: string,
  nth: number,
  options: ResetOptions = {},
  run?: string,
): Promise<string> {
  const completed = await until('a workflow task of it to be completed', async () => {
    const { events } = await client.workflow.getHandle(workflowId, run).fetchHistory();
    const found = events!.filter((event) => event.workflowTaskCompletedEventAttributes);
    return found.length > 0 && found;
  });
  const { runId } = await client.workflow.getHandle(workflowId, run).describe();
  const answer = await client.workflowService.resetWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId, runId },
    workflowTaskFinishEventId: completed.at(Math.min(nth, completed.length - 1))!.eventId!,
    requestId: randomUUID(),
    reason: 'an operator tries it',
    ...options,
  });
  return answer.runId;
}
