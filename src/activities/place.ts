import { randomBytes } from 'node:crypto';
import { bootId } from '../ansible/identity.js';
import type { Placement, PlaceRequest } from '../job/protocol.js';
import { holderOf, keyOf, type NodeContext } from './context.js';

/**
 * Reserves a slot, then the attempt folder with its token (R1, R7). Repeated on the same node it finds both again.
 * @throws Error when the last free slot was taken by another process of this node, or the disk is full; Temporal repeats it
 */
export async function place(context: NodeContext, request: PlaceRequest): Promise<Placement> {
  const { nodeId, slots, attempts } = context;
  await context.requireSpace();
  if (!(await slots.take(holderOf(nodeId, request)))) throw new Error(`no slot of node ${nodeId} is free`);
  const boot = bootId();
  const token = await attempts.prepare({
    key: keyOf(request),
    token: randomBytes(16).toString('hex'),
    node: nodeId,
    boot,
    spec: request.input.spec,
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
