import { CancellationScope, proxyLocalActivities, workflowInfo } from '@temporalio/workflow';
import type { EngineActivities } from '../activities/index.js';
import type { Outcome } from '../job/outcome.js';
import type { StepInput } from '../job/step-protocol.js';
import { now } from './outcomes.js';

/**
 * Whether another workflow was this step before. Temporal starts no second one of its ID, unless it has dropped the first since: then
 * a run that continues the job after a Reset could start the step again.
 */
export async function wasStartedBefore({ run_id, name }: StepInput): Promise<boolean> {
  const { parent, originalExecutionRunId } = workflowInfo();
  if (parent === undefined || parent.runId === run_id) return false;
  const { knowsOtherStart } = proxyLocalActivities<EngineActivities>({ startToCloseTimeout: '30s' });
  return CancellationScope.nonCancellable(() => knowsOtherStart(parent.workflowId, name, originalExecutionRunId));
}

export function startedBefore(): Outcome {
  const message =
    'It was started before its job was reset in Temporal, which no longer knows how it ended; it is not started again';
  return {
    status: 'failed',
    failure: { kind: 'lost', message },
    rc: null,
    stats: {},
    started_at: null,
    finished_at: now(),
    leftovers: [],
  };
}
