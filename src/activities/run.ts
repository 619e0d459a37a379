import { watchToTheEnd } from '../ansible/watch.js';
import type { Outcome } from '../job/outcome.js';
import type { AttemptRef } from '../job/protocol.js';
import { holderOf, keyOf, type NodeContext } from './context.js';
import type { Lifeline } from './lifeline.js';
import { ProgressReader } from './progress.js';

/**
 * Watches one attempt from wherever it stands to its end, starting it if nobody has; then frees its slot and returns how
 * it ended. May be repeated, and be called by two workers at once.
 */
export async function run(context: NodeContext, ref: AttemptRef, lifeline: Lifeline): Promise<Outcome> {
  const { attempts, slots, nodeId, log } = context;
  const key = keyOf(ref);
  const progress = new ProgressReader(attempts.folderOf(key));
  const { token, timeout } = ref;
  const outcome = await watchToTheEnd(
    context,
    { key, token, timeout },
    {
      signal: lifeline.signal,
      async observe(seen) {
        await progress.update();
        lifeline.tell({
          started_at: seen.startedAt?.toISOString() ?? null,
          tasks_done: progress.tasksDone,
          message: seen.message ?? progress.task,
        });
      },
    },
  );
  log.info({ ...key, status: outcome.status, rc: outcome.rc }, 'an attempt has ended');
  await slots.release(holderOf(nodeId, ref));
  return outcome;
}
