import { WorkflowNotFoundError, type WorkflowExecutionInfo } from '@temporalio/client';
import { jobOfStep, parseWorkflowId, type JobName } from '../../job/names.js';
import { stepWorkflowType } from '../../job/step-protocol.js';
import { all, equals, isNoneOf } from '../../job/visibility.js';
import type { StoredRun } from '../../store/run-folders.js';
import type { NodeContext } from '../context.js';
import { describeWorkflow, isOpen } from '../engine.js';
import { EvidenceInUse } from './evidence-in-use.js';
import { isOver } from './liveness.js';
import { closedStatuses, findRun, listRuns, memoOf, requestDeletion, runsOf, stepsOf } from './temporal-runs.js';

const openSteps = all(equals('WorkflowType', stepWorkflowType), isNoneOf('ExecutionStatus', closedStatuses));

/** The runs of the steps of a run that is about to be deleted: none where another run goes on with them, or did, after a Reset. */
export async function stepsThatGoWith(
  context: NodeContext,
  job: JobName,
  run: WorkflowExecutionInfo,
): Promise<StoredRun[]> {
  if (memoOf(run).kind !== 'steps') return [];
  const own = await findRun(context, job, run.runId);
  if (own === undefined) return [];
  for await (const { runId } of runsOf(context, job)) {
    const other = runId === run.runId ? undefined : await findRun(context, job, runId);
    if (other?.evidenceRunId === own.evidenceRunId) return [];
  }
  const steps: StoredRun[] = [];
  for await (const { name, run: ofStep } of stepsOf(context, job, own.evidenceRunId))
    steps.push({ job: name, runId: ofStep.runId });
  return steps;
}

/** Deletes an expired run of a step from Temporal if its job is gone there. */
export async function deleteOrphanedStep(
  context: NodeContext,
  name: JobName,
  run: WorkflowExecutionInfo,
): Promise<void> {
  const { step } = name;
  if (step === undefined || (await new EvidenceInUse(context).of(jobOfStep(name))).has(step.runId)) return;
  if (await isOver(context, name, run)) await requestDeletion(context, name, run.runId);
}

/**
 * Has those steps end whose job has closed without them. Temporal does so itself, but not for steps that a run goes on with after a
 * Reset.
 */
export async function cancelOrphanedSteps(context: NodeContext, signal: AbortSignal): Promise<void> {
  const awaited = new Map<string, Promise<boolean>>();
  for await (const { workflowId, runId } of listRuns(context, openSteps)) {
    signal.throwIfAborted();
    const name = parseWorkflowId(workflowId);
    if (name?.step === undefined) continue;
    const { runId: ofJob } = name.step;
    const isAwaited = awaited.get(ofJob) ?? isJobOpen(context, name, ofJob);
    awaited.set(ofJob, isAwaited);
    if (await isAwaited) continue;
    context.log.warn({ ...name, runId }, 'a step whose job has closed is canceled');
    await cancel(context, { workflowId, runId });
  }
}

/** Whether the run of a job is open that a step belongs to, or one that continues it after a Reset. */
async function isJobOpen(context: NodeContext, name: JobName, runId: string): Promise<boolean> {
  const latest = await findRun(context, jobOfStep(name));
  return latest?.isOpen === true && latest.evidenceRunId === runId;
}

async function cancel(
  context: NodeContext,
  { workflowId, runId }: { workflowId: string; runId: string },
): Promise<void> {
  const { client } = context;
  const description = await describeWorkflow(context, workflowId, runId);
  if (
    description === undefined ||
    !isOpen(description) ||
    description.raw.workflowExtendedInfo?.cancelRequested === true
  )
    return;
  try {
    await client.workflow.getHandle(workflowId, runId).cancel();
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}
