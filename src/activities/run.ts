import { watchToTheEnd } from '../ansible/watch.js';
import type { Outcome } from '../job/outcome.js';
import type { AttemptRef } from '../job/protocol.js';
import { holderOf, keyOf, type NodeContext } from './context.js';
import type { Lifeline } from './lifeline.js';
import { AttemptProgress } from './progress.js';

/**
 * Watches one attempt from wherever it stands to its end, starting it if nobody has; then frees its slot and returns how
 * it ended. May be repeated, and be called by two workers at once.
 */
export async function run(context: NodeContext, ref: AttemptRef, lifeline: Lifeline): Promise<Outcome> {
  const { slots, nodeId, log } = context;
  const key = keyOf(ref);
  const progress = new AttemptProgress(context, ref);
  const { token, timeout } = ref;
  const outcome = await watchToTheEnd(
    context,
    { key, token, timeout },
    {
      signal: lifeline.signal,
      observe: async (seen) => lifeline.tell(await progress.heartbeat(seen)),
    },
  );
  log.info({ ...key, status: outcome.status, rc: outcome.rc }, 'an attempt has ended');
  await slots.release(holderOf(nodeId, ref));
  await progress.remember(outcome);
  return outcome;
}
