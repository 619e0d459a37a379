import { WorkflowNotFoundError, type WorkflowExecutionDescription } from '@temporalio/client';
import { refuseLeft } from '../ansible/watch.js';
import { inBrief } from '../job/brief.js';
import type { Outcome } from '../job/outcome.js';
import { signals, type JobMemo, type LateResult } from '../job/protocol.js';
import type { SlotHolder, TakenSlot } from '../node/slots.js';
import { keyOf, type NodeContext } from './context.js';
import { describeWorkflow, isOpen } from './engine.js';

/**
 * Looks through the slots for attempts whose workflow no longer waits for them: terminated in Temporal, or moved on.
 * Ends what lives of them, puts it on record, and frees the slot (R5, R7).
 */
export async function sweep(context: NodeContext): Promise<void> {
  // All at once: one attempt that resists must not keep the others waiting, and there are no more than slots.
  const swept = (await context.slots.taken()).map(async (slot) => {
    try {
      await sweepSlot(context, slot);
    } catch (error) {
      context.log.error({ err: error, ...slot }, 'a slot could not be swept; the next sweep tries again');
    }
  });
  await Promise.all(swept);
}

async function sweepSlot(context: NodeContext, slot: TakenSlot): Promise<void> {
  const { slots, nodeId, log } = context;
  const { holder } = slot;
  if (holder?.node !== nodeId) {
    log.warn(slot, 'dropped a slot that names another node or nobody');
    await slots.drop(slot);
    return;
  }
  // The API sees to it: Temporal hears of it when it has ended.
  if (holder.foreground) return;
  const description = await runOf(context, holder);
  if (description === undefined) {
    await dropIfNothingRuns(context, holder);
  } else if (!isOpen(description)) {
    await endOrphan(context, holder, `its workflow was closed in Temporal (${description.status.name.toLowerCase()})`);
  } else if (hasMovedOn(description, holder)) {
    const outcome = await endOrphan(context, holder, 'its workflow has gone on without this attempt');
    if (outcome !== undefined) await reportLate(context, description, { attempt: holder.attempt, outcome });
  }
}

/** The run that an attempt belongs to: the one that placed it, or the one that continues that after a Reset (R5). */
export async function runOf(
  context: NodeContext,
  holder: { workflow_id: string; run_id: string },
): Promise<WorkflowExecutionDescription | undefined> {
  const own = await describeWorkflow(context, holder.workflow_id, holder.run_id);
  if (own !== undefined && isOpen(own)) return own;
  const latest = await describeWorkflow(context, holder.workflow_id);
  return latest?.raw.workflowExecutionInfo?.firstRunId === holder.run_id ? latest : own;
}

/** Whether its attempt has ended, or was placed on another node because this one answered too late. */
function hasMovedOn({ memo }: WorkflowExecutionDescription, { attempt, node }: SlotHolder): boolean {
  const { attempts = [], placement } = (memo ?? {}) as Partial<JobMemo>;
  const isElsewhere = placement?.attempt === attempt && placement.node !== node;
  return isElsewhere || attempts.some((record) => record.attempt === attempt);
}

/** @returns how it ended, where that can be told */
async function endOrphan(
  { attempts, slots, log }: NodeContext,
  holder: SlotHolder,
  reason: string,
): Promise<Outcome | undefined> {
  const key = keyOf(holder);
  let outcome = await attempts.settled(key);
  if (outcome === undefined) {
    refuseLeft(await attempts.end(key, 'terminated', reason));
    const seen = await attempts.look(key);
    if (seen.state === 'finished' || seen.state === 'void') outcome = await attempts.settle(key, seen);
  }
  log.warn({ ...key, outcome, reason }, 'an attempt that nobody waits for has ended');
  await slots.release(holder);
  return outcome;
}

/** The answer that was given stays; what became of the attempt is shown beside it while the run is open (R4). */
async function reportLate(
  { client, log }: NodeContext,
  { workflowId, runId }: WorkflowExecutionDescription,
  { attempt, outcome }: LateResult,
): Promise<void> {
  const late: LateResult = { attempt, outcome: inBrief(outcome) };
  try {
    await client.workflow.getHandle(workflowId, runId).signal(signals.late, late);
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError))
      log.warn({ err: error, workflowId }, 'a late result was not reported');
  }
}

/** Temporal doesn't know the run: deleted, or its database is another one. What lives is not ours to judge. */
async function dropIfNothingRuns({ attempts, slots, log }: NodeContext, holder: SlotHolder): Promise<void> {
  const key = keyOf(holder);
  const { state } = await attempts.look(key);
  if (state === 'running' || state === 'claimed') {
    log.error({ holder }, 'an attempt runs whose workflow Temporal does not know; it keeps its slot until it ends');
    return;
  }
  // Void if it never began; ends the stragglers of a crash; leaves alone what ended by itself.
  refuseLeft(await attempts.end(key, 'lost', 'Temporal does not know its workflow'));
  await slots.release(holder);
}
