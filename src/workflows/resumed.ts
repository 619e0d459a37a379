import { workflowInfo } from '@temporalio/workflow';

/** Whether this run goes on with another one after a Reset: something may run already, and has to be found before it can be ended (R5). */
export function isResumed(): boolean {
  const { runId, originalExecutionRunId } = workflowInfo();
  return runId !== originalExecutionRunId;
}
