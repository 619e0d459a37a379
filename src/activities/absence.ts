import { WorkflowNotFoundError, type WorkflowExecutionDescription } from '@temporalio/client';
import { decodeFromPayloadsAtIndex } from '@temporalio/common/lib/internal-non-workflow/index.js';
import type { AwayNode, ToldJob } from '../job/node-protocol.js';
import { tasksOf } from '../job/progress.js';
import {
  jobWorkflowType,
  signals,
  toldSilences,
  type JobMemo,
  type NodeLost,
  type NodeSilence,
  type RunHeartbeat,
} from '../job/protocol.js';
import { stepWorkflowType } from '../job/step-protocol.js';
import { all, equals, isOneOf, isOpen } from '../job/visibility.js';
import type { NodeContext } from './context.js';
import { describeWorkflow } from './engine.js';
import type { AbsenceActivities } from './index.js';

/** What the workflow of a node has its jobs told while nobody hears of it. */
export function createAbsenceActivities(context: NodeContext): AbsenceActivities {
  return {
    tellSilence: (away) => tellSilence(context, away),
    tellReturn: (node, jobs) => tellReturn(context, node, jobs),
    giveUpJobs: (away) => giveUpJobs(context, away),
  };
}

/** Tells also what was last heard of each job. */
async function tellSilence(context: NodeContext, { node, since }: AwayNode): Promise<ToldJob[]> {
  // It is back, and will tell for itself.
  if (node === context.nodeId) return [];
  context.log.warn({ node, since }, 'a node is silent; its jobs are told');
  const told: ToldJob[] = [];
  for (const job of await jobsOf(context, node)) {
    const description = await describeWorkflow(context, job.workflow_id, job.run_id);
    const { silences = 0 } = (description?.memo ?? {}) as Partial<JobMemo>;
    if (description === undefined || silences >= toldSilences) continue;
    const heartbeat = await lastHeartbeat(context, description);
    const { percent = null, message = null } = heartbeat ?? {};
    const silence: NodeSilence = { node, since, heard: heartbeat === null ? null : { percent, message } };
    if (await tell(context, job, signals.nodeSilent, silence)) told.push(job);
  }
  return told;
}

async function tellReturn(context: NodeContext, node: string, jobs: ToldJob[]): Promise<void> {
  for (const job of jobs) await tell(context, job, signals.nodeBack, node);
}

async function giveUpJobs(context: NodeContext, { node, since }: AwayNode): Promise<void> {
  if (node === context.nodeId) return;
  context.log.warn({ node, since }, 'a node stays away; jobs that asked for it are given up');
  for (const job of await jobsOf(context, node)) {
    const description = await describeWorkflow(context, job.workflow_id, job.run_id);
    const { spec } = (description?.memo ?? {}) as Partial<JobMemo>;
    // One that waits for its node however long that takes has nothing to be told again.
    if (description === undefined || spec?.on_node_lost === 'wait') continue;
    const tasks = tasksOf(await lastHeartbeat(context, description));
    await tell(context, job, signals.nodeLost, { node, since, tasks } satisfies NodeLost);
  }
}

/** The open runs whose last attempt is on a node. */
async function jobsOf({ client }: NodeContext, node: string): Promise<ToldJob[]> {
  const query = all(isOneOf('WorkflowType', [jobWorkflowType, stepWorkflowType]), isOpen, equals('node', node));
  const jobs: ToldJob[] = [];
  for await (const { workflowId, runId } of client.workflow.list({ query }))
    jobs.push({ workflow_id: workflowId, run_id: runId });
  return jobs;
}

/** @returns false if it has closed meanwhile */
async function tell(
  { client }: NodeContext,
  { workflow_id, run_id }: ToldJob,
  signal: string,
  what: unknown,
): Promise<boolean> {
  try {
    await client.workflow.getHandle(workflow_id, run_id).signal(signal, what);
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

/** What was last heard of a run's attempt; null if nothing was. */
async function lastHeartbeat(
  { client }: NodeContext,
  { raw }: WorkflowExecutionDescription,
): Promise<RunHeartbeat | null> {
  const watching = raw.pendingActivities?.find(({ activityType }) => activityType?.name === 'run');
  const payloads = watching?.heartbeatDetails?.payloads;
  if (payloads == null || payloads.length === 0) return null;
  return decodeFromPayloadsAtIndex<RunHeartbeat | null>(client.options.loadedDataConverter, 0, payloads);
}
