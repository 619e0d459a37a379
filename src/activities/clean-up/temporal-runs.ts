import { isGrpcServiceError, type WorkflowExecutionInfo } from '@temporalio/client';
import { parseWorkflowId, stepsPrefixOf, workflowIdOf, type JobName, type StepName } from '../../job/names.js';
import type { JobMemo } from '../../job/protocol.js';
import { equals, startsWith } from '../../job/visibility.js';
import type { NodeContext } from '../context.js';
import { describeWorkflow } from '../engine.js';

const callTimeoutMs = 10_000;
const listTimeoutMs = 30_000;
const pageSize = 200;
const grpc = { INVALID_ARGUMENT: 3, NOT_FOUND: 5 };
/** DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, UNAVAILABLE. */
const away = [4, 8, 10, 14];

/** What Temporal's visibility calls runs of ours that have closed; others may go on: one that was paused, too. */
export const closedStatuses = ['Completed', 'Failed', 'Canceled', 'Terminated', 'TimedOut'];

/** What clean-up needs to know of a run. */
export interface KnownRun {
  runId: string;
  /** The run id that its attempts' evidence is kept by; another one after a Reset, and for a job that ran without Temporal. */
  evidenceRunId: string;
  isOpen: boolean;
}

/**
 * A run as Temporal has it now; the latest without `runId`. Undefined if there is none.
 * @throws when Temporal is away or doesn't have our namespace: nothing is known then
 */
export async function findRun(context: NodeContext, job: JobName, runId?: string): Promise<KnownRun | undefined> {
  const found = await describeWorkflow(context, workflowIdOf(job), runId);
  if (found === undefined) return undefined;
  const firstRunId = found.raw.workflowExecutionInfo?.firstRunId || found.runId;
  return {
    runId: found.runId,
    evidenceRunId: memoOf(found).foreground?.run_id ?? firstRunId,
    isOpen: found.closeTime === undefined,
  };
}

/** What a run's memo says: it may be somebody else's, or of another version. */
export function memoOf({ memo }: Pick<WorkflowExecutionInfo, 'memo'>): Partial<JobMemo> {
  return memo ?? {};
}

/** The runs that match a visibility query, which may lag behind by moments. */
export async function* listRuns({ client }: NodeContext, query: string): AsyncGenerator<WorkflowExecutionInfo> {
  const runs = client.workflow.list({ query, pageSize })[Symbol.asyncIterator]();
  for (;;) {
    const next = await client.withDeadline(Date.now() + listTimeoutMs, () => runs.next());
    if (next.done === true) return;
    yield next.value;
  }
}

/** All runs of a job. */
export function runsOf(context: NodeContext, job: JobName): AsyncGenerator<WorkflowExecutionInfo> {
  return listRuns(context, equals('WorkflowId', workflowIdOf(job)));
}

/** A run of a step. */
export interface StepRun {
  name: JobName & { step: StepName };
  run: WorkflowExecutionInfo;
}

/** All runs of the steps of a job's run. */
export async function* stepsOf(context: NodeContext, job: JobName, evidenceRunId: string): AsyncGenerator<StepRun> {
  for await (const run of listRuns(context, startsWith('WorkflowId', stepsPrefixOf(job, evidenceRunId)))) {
    const name = parseWorkflowId(run.workflowId);
    if (name?.step?.runId === evidenceRunId) yield { name: { ...name, step: name.step }, run };
  }
}

/** Has Temporal delete a closed run, by its id; it is gone somewhat later. No error if it is gone already. */
export async function requestDeletion({ client }: NodeContext, job: JobName, runId: string): Promise<void> {
  const workflowExecution = { workflowId: workflowIdOf(job), runId };
  const { namespace } = client.options;
  try {
    await client.withDeadline(Date.now() + callTimeoutMs, () =>
      client.workflowService.deleteWorkflowExecution({ namespace, workflowExecution }),
    );
  } catch (error) {
    if (codeOf(error) !== grpc.NOT_FOUND) throw error;
  }
}

/** Whether an error says that Temporal can't serve now, whatever it is asked. */
export function isAway(error: unknown): boolean {
  return away.includes(codeOf(error) ?? -1);
}

/** Whether an error says that a query names what this Temporal doesn't know. */
export function isInvalid(error: unknown): boolean {
  return codeOf(error) === grpc.INVALID_ARGUMENT;
}

function codeOf(error: unknown): number | undefined {
  const cause = isGrpcServiceError(error) ? error : (error as Error).cause;
  return isGrpcServiceError(cause) ? cause.code : undefined;
}
