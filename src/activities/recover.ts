import { setTimeout as delay } from 'node:timers/promises';
import proto, { type temporal } from '@temporalio/proto';
import { WorkflowNotFoundError } from '@temporalio/client';
import { jobWorkflowType } from '../job/protocol.js';
import { stepWorkflowType } from '../job/step-protocol.js';
import { all, isOneOf, isOpen } from '../job/visibility.js';
import type { NodeContext } from './context.js';

const callTimeoutMs = 10_000;
const atOnce = 8;
const mostTries = 4;
const pauseMs = 2_000;

interface Run {
  workflowId: string;
  /** Undefined: the latest. */
  runId?: string;
}

/** How this worker and its predecessors on the node call themselves. */
export interface WorkerIdentity {
  /** What the identities of all workers of this node begin with. */
  prefix: string;
  own: string;
}

/**
 * Tells Temporal that the activities of this node's former worker have failed, so that they are repeated now and not
 * when their heartbeat times out. The worker's lock on the data folder proves that worker dead.
 */
export async function failActivitiesOfDeadWorkers(context: NodeContext, identity: WorkerIdentity): Promise<void> {
  const holders = (await context.slots.taken()).map(({ holder }) => holder).filter((holder) => holder !== undefined);
  // Its latest run: after a Reset that is another one than its attempt was placed by.
  const runs = holders.map(({ workflow_id }) => ({ workflowId: workflow_id }));
  await Promise.all(runs.map((run) => failThoseOf(context, run, identity, 1)));
}

/**
 * The same for runs that hold no slot: what was watched on target hosts, and those whose attempt had ended when the worker died before
 * Temporal heard of it. This takes as long as there are open jobs; nothing waits for it.
 */
export async function failUnheardActivities(
  context: NodeContext,
  identity: WorkerIdentity,
  signal: AbortSignal,
): Promise<void> {
  // An async generator gives its values one by one, however many ask for the next.
  const iterator = unheard(context);
  const turns = Array.from({ length: atOnce }, () => takeTurn());
  await Promise.all(turns);

  async function takeTurn(): Promise<void> {
    for (;;) {
      const next = await iterator.next();
      if (next.done === true || signal.aborted) return;
      await failThoseOf(context, next.value, identity, mostTries, signal);
    }
  }
}

/** First those that this node knows of itself: visibility may not have a young job yet. */
async function* unheard({ client, ledger }: NodeContext): AsyncGenerator<Run, void> {
  for (const { workflow_id: workflowId } of await ledger.left()) yield { workflowId };
  const query = all(isOneOf('WorkflowType', [jobWorkflowType, stepWorkflowType]), isOpen);
  for await (const { workflowId, runId } of client.workflow.list({ query })) yield { workflowId, runId };
}

async function failThoseOf(
  context: NodeContext,
  run: Run,
  identity: WorkerIdentity,
  tries: number,
  signal?: AbortSignal,
): Promise<void> {
  const { client, log } = context;
  const { workflowId, runId } = run;
  const { prefix, own } = identity;
  try {
    await client.withDeadline(Date.now() + callTimeoutMs, async () => {
      const { raw, runId: describedRunId } = await client.workflow.getHandle(workflowId, runId).describe();
      for (const activity of raw.pendingActivities ?? []) {
        if (!isOfDeadWorker(activity, prefix, own)) continue;
        await client.workflowService.respondActivityTaskFailedById({
          namespace: client.options.namespace,
          workflowId,
          runId: describedRunId,
          activityId: activity.activityId ?? '',
          identity: own,
          failure: { message: 'its worker ended', source: 'longhaul', applicationFailureInfo: { type: 'WorkerEnded' } },
        });
      }
    });
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return;
    log.warn({ err: error, workflowId }, 'could not tell Temporal that a worker has ended');
    // After the last one its heartbeat timeout does the same, later.
    if (tries === 1 || signal?.aborted === true) return;
    await delay(pauseMs);
    return failThoseOf(context, run, identity, tries - 1, signal);
  }
}

function isOfDeadWorker(activity: temporal.api.workflow.v1.IPendingActivityInfo, prefix: string, own: string): boolean {
  const started = activity.state === proto.temporal.api.enums.v1.PendingActivityState.PENDING_ACTIVITY_STATE_STARTED;
  const last = activity.lastWorkerIdentity ?? '';
  return started && last.startsWith(prefix) && last !== own;
}
