import { CancellationScope, getExternalWorkflowHandle } from '@temporalio/workflow';
import { workflowIdOf } from '../job/names.js';
import type { JobInput } from '../job/protocol.js';
import { stepStartSignal, type StepInput, type StepStart } from '../job/step-protocol.js';

/** Tells the job of a step that the step runs, for those who look at the job. */
export function tellJob({ tenant, playbook_name, name }: JobInput, step: StepInput, started_at: string): void {
  // The run that waits for it now: after a Reset that is another one than the step was started by.
  const job = getExternalWorkflowHandle(workflowIdOf({ tenant, playbookName: playbook_name, name }));
  const start: StepStart = { run_id: step.run_id, step: step.name, started_at };
  const told = CancellationScope.nonCancellable(() => job.signal(stepStartSignal, start));
  // Closed from outside: there is nobody to be told.
  told.catch(() => undefined);
}
