import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { AttemptKey } from '../ansible/folders.js';
import { bootId } from '../ansible/identity.js';
import { refuseLeft, watchToTheEnd, type WatchTools } from '../ansible/watch.js';
import { workflowIdOf } from '../job/names.js';
import { inBrief } from '../job/brief.js';
import type { Outcome } from '../job/outcome.js';
import { backoffBeforeNext } from '../job/backoff.js';
import type { Slots, SlotHolder } from '../node/slots.js';
import { jobOf, type Order, type Progress, type Records } from './records.js';

/** How often a change is looked for that nobody announces: a slot that got free, a cancel. */
const lookMs = 500;
const again = 1000;

/** What jobs in the foreground are run with. */
export interface ForegroundTools extends WatchTools {
  records: Records;
  slots: Slots;
}

/** The attempt of a job that runs in the foreground. */
export function keyOf(order: Order, attempt: number): AttemptKey {
  return { ...jobOf(order), runId: order.name, attempt };
}

/** Who holds its slot: nobody whom Temporal knows. */
export function holderOf(order: Order, attempt: number): SlotHolder {
  return {
    node: order.node,
    workflow_id: workflowIdOf(jobOf(order)),
    run_id: order.name,
    attempt,
    foreground: true,
  };
}

/** Prepares an attempt whose slot is taken, and puts it on record: what was not, is never started (R1). */
export async function place(tools: ForegroundTools, order: Order, attempt: number, former: Progress): Promise<void> {
  const token = await tools.attempts.prepare({
    key: keyOf(order, attempt),
    token: randomBytes(16).toString('hex'),
    node: order.node,
    boot: bootId(),
    spec: order.spec,
  });
  await tools.records.write(order, { ...former, placement: { attempt, token }, retry_at: null });
}

/**
 * Brings a job that was placed to its end, from wherever it stands: watches its attempt, and starts another if its retry
 * policy says so. Its slot is free when its outcome is on record.
 * @param trouble told why the attempt can't be watched now, null when it can again
 * @param signal ends the watching; nothing of the job ends by it
 */
export async function runToTheEnd(
  tools: ForegroundTools,
  order: Order,
  trouble: (why: string | null) => void,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const record = await tools.records.read(order.name);
    if (record?.progress == null || record.progress.outcome !== null) return;
    const { progress, cancel } = record;
    if (progress.placement === null) await placeAgain(tools, order, progress, signal);
    else await watch(tools, { order, progress, cancel }, progress.placement, trouble, signal);
  }
}

/** Ends what an attempt has running because its job is canceled. @throws NotEndedError to be tried again */
export async function end({ attempts }: ForegroundTools, order: Order, attempt: number, reason: string): Promise<void> {
  refuseLeft(await attempts.end(keyOf(order, attempt), 'cancel', reason));
}

async function watch(
  tools: ForegroundTools,
  { order, progress, cancel }: { order: Order; progress: Progress; cancel: string | null },
  { attempt, token }: NonNullable<Progress['placement']>,
  trouble: (why: string | null) => void,
  signal: AbortSignal,
): Promise<void> {
  const key = keyOf(order, attempt);
  const watched = { key, token, timeout: order.spec.timeout ?? null };
  let outcome: Outcome;
  try {
    // Also where whoever put the cancel on record died before acting on it.
    if (cancel !== null) await end(tools, order, attempt, cancel);
    outcome = await watchToTheEnd(tools, watched, { signal, observe: () => trouble(null) });
  } catch (error) {
    signal.throwIfAborted();
    tools.log.warn({ err: error, ...key }, 'an attempt in the foreground could not be watched; trying again');
    trouble((error as Error).message);
    await delay(again, undefined, { signal });
    return;
  }
  trouble(null);
  tools.log.info({ ...key, status: outcome.status, rc: outcome.rc }, 'an attempt in the foreground has ended');
  await tools.slots.release(holderOf(order, attempt));
  await tools.records.write(order, after(order, progress, attempt, outcome));
}

/** What is on record when an attempt has ended: the end of the job, or when the next one is due. */
function after({ node, spec }: Order, progress: Progress, attempt: number, outcome: Outcome): Progress {
  // As a workflow keeps them: what hosts did in earlier attempts is in their folders.
  const attempts = [...progress.attempts, { attempt, node, outcome: inBrief(outcome) }];
  const backoff =
    outcome.status === 'failed' ? backoffBeforeNext(spec.retry, attempt, outcome.failure.kind) : undefined;
  if (backoff === undefined) return { placement: null, attempts, retry_at: null, outcome };
  return { placement: null, attempts, retry_at: new Date(Date.now() + backoff).toISOString(), outcome: null };
}

/** Waits until the next attempt is due and has a slot, then places it; or ends the job if it is canceled before. */
async function placeAgain(
  tools: ForegroundTools,
  order: Order,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const attempt = progress.attempts.length + 1;
  const due = Date.parse(progress.retry_at ?? order.created_at);
  for (;;) {
    const cancel = (await tools.records.read(order.name))?.cancel;
    if (cancel != null) {
      await tools.slots.release(holderOf(order, attempt));
      await tools.records.write(order, canceledAfter(progress, cancel));
      return;
    }
    const left = due - Date.now();
    if (left <= 0 && (await tools.slots.take(holderOf(order, attempt)))) break;
    await delay(left > 0 ? Math.min(left, lookMs) : lookMs, undefined, { signal });
  }
  await place(tools, order, attempt, progress);
}

/** Canceled between two attempts: the times are those of the last one. */
function canceledAfter(progress: Progress, reason: string): Progress {
  const last = progress.attempts.at(-1)?.outcome;
  const outcome: Outcome = {
    status: 'canceled',
    reason: reason || 'before its next attempt',
    rc: last?.rc ?? null,
    stats: {},
    started_at: last?.started_at ?? null,
    finished_at: new Date().toISOString(),
    leftovers: last?.leftovers ?? [],
  };
  return { ...progress, retry_at: null, outcome };
}
