import { WorkflowNotFoundError, type WorkflowExecutionDescription } from '@temporalio/client';
import type { JobMemo } from '../job/protocol.js';
import type { SlotHolder, TakenSlot } from '../node/slots.js';
import { keyOf, type NodeContext } from './context.js';
import { refuseLeft } from './run.js';

const describeTimeoutMs = 10_000;

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
  const description = await describe(context, holder);
  if (description === undefined) {
    await dropIfNothingRuns(context, holder);
  } else if (description.status.name !== 'RUNNING') {
    await endOrphan(context, holder, `its workflow was closed in Temporal (${description.status.name.toLowerCase()})`);
  } else if (hasMovedOn(description, holder)) {
    await endOrphan(context, holder, 'its workflow has gone on to another attempt');
  }
}

async function describe(
  { client }: NodeContext,
  holder: SlotHolder,
): Promise<WorkflowExecutionDescription | undefined> {
  try {
    const handle = client.workflow.getHandle(holder.workflow_id, holder.run_id);
    return await client.withDeadline(Date.now() + describeTimeoutMs, () => handle.describe());
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** Whether its attempt has ended, or was placed on another node because this one answered too late. */
function hasMovedOn({ memo }: WorkflowExecutionDescription, { attempt, node }: SlotHolder): boolean {
  const { attempts = [], placement } = (memo ?? {}) as Partial<JobMemo>;
  const isElsewhere = placement?.attempt === attempt && placement.node !== node;
  return isElsewhere || attempts.some((record) => record.attempt === attempt);
}

async function endOrphan({ attempts, slots, log }: NodeContext, holder: SlotHolder, reason: string): Promise<void> {
  const key = keyOf(holder);
  if ((await attempts.settled(key)) === undefined) {
    refuseLeft(await attempts.end(key, 'terminated', reason));
    const seen = await attempts.look(key);
    if (seen.state === 'finished' || seen.state === 'void') {
      const outcome = await attempts.settle(key, seen);
      log.warn({ ...key, outcome, reason }, 'an attempt that nobody waits for was ended');
    }
  }
  await slots.release(holder);
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
