import { randomBytes } from 'node:crypto';
import { bootId } from '../ansible/identity.js';
import type { PlaybookSpec } from '../job/kinds/playbook.js';
import type { LostPlacement, Placement, PlaceRequest } from '../job/protocol.js';
import { holderOf, keyOf, type NodeContext } from './context.js';
import { formerPlacement, RunGoneError } from './former-placement.js';

/**
 * Reserves a slot, then the attempt folder with its token (R1, R7). Repeated on the same node it finds both again.
 * @param currentRunId the run that asks; another one than the request's after a Reset
 * @throws Error when the last free slot was taken by another process of this node, an earlier attempt of the run has not
 *   ended here, or the disk is full; Temporal repeats it
 */
export async function place(
  context: NodeContext,
  request: PlaceRequest,
  currentRunId: string,
): Promise<Placement | LostPlacement> {
  const { nodeId, slots, attempts } = context;
  const former = await formerPlacement(context, request, currentRunId).catch(lostWithItsRun);
  if (former !== undefined) return former;
  await context.requireSpace();
  await refuseBesideEarlier(context, request);
  if (!(await slots.take(holderOf(nodeId, request)))) throw new Error(`no slot of node ${nodeId} is free`);
  const boot = bootId();
  const token = await attempts.prepare({
    key: keyOf(request),
    token: randomBytes(16).toString('hex'),
    node: nodeId,
    boot,
    // Only playbooks are placed; those that were accepted before there were other kinds don't say so.
    spec: request.input.spec as PlaybookSpec,
  });
  const { heartbeatTimeoutMs, retryIntervalMs } = context;
  return {
    node: nodeId,
    attempt: request.attempt,
    token,
    boot,
    heartbeat_timeout_ms: heartbeatTimeoutMs,
    retry_interval_ms: retryIntervalMs,
  };
}

function lostWithItsRun(error: unknown): LostPlacement {
  if (error instanceof RunGoneError) return { lost: error.message };
  throw error;
}

/** An attempt that was given up while this node was away is ended by its sweep before another may run here (R4). */
async function refuseBesideEarlier({ slots, nodeId }: NodeContext, { run_id, attempt }: PlaceRequest): Promise<void> {
  const earlier = (await slots.taken()).find(({ holder }) => holder?.run_id === run_id && holder.attempt < attempt);
  if (earlier === undefined) return;
  throw new Error(`attempt ${earlier.holder?.attempt} has not been ended yet on node ${nodeId}, which had been away`);
}
