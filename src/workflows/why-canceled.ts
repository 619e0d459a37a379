import { proxyLocalActivities, workflowInfo } from '@temporalio/workflow';
import type { EngineActivities } from '../activities/index.js';

/** What whoever canceled this run gave as the reason. */
export function whyCanceled(): Promise<string> {
  const { cancelReason } = proxyLocalActivities<EngineActivities>({
    startToCloseTimeout: '10s',
    retry: { backoffCoefficient: 1 },
  });
  const { workflowId, runId } = workflowInfo();
  return cancelReason({ workflowId, runId });
}
