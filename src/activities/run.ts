import { setTimeout as delay } from 'node:timers/promises';
import type { Look } from '../ansible/look.js';
import { outcomeOfAbsent } from '../ansible/outcome.js';
import type { Ended } from '../ansible/programs.js';
import { FolderWatch } from '../ansible/wait.js';
import type { Outcome } from '../job/outcome.js';
import type { AttemptRef } from '../job/protocol.js';
import { holderOf, keyOf, type NodeContext } from './context.js';
import type { Lifeline } from './lifeline.js';
import { ProgressReader } from './progress.js';

/** How often an attempt is looked at when nothing was announced. */
const tickMs = 1000;
/** How much later than the supervisor the worker enforces a timeout, beyond two graces. */
const secondInLineMs = 10_000;

/** Something of an attempt lives on although it was killed, or can't be looked at; named, and tried again. */
export class NotEndedError extends Error {
  override readonly name = 'NotEndedError';
}

/**
 * Watches one attempt from wherever it stands to its end, starting it if nobody has, and returns its outcome. Any number
 * of these may watch the same attempt, one after another or at once: the attempt's evidence decides, not they (R1-R3).
 */
export async function run(context: NodeContext, ref: AttemptRef, lifeline: Lifeline): Promise<Outcome> {
  const { attempts, slots, nodeId, log } = context;
  const key = keyOf(ref);
  const outcome = (await attempts.settled(key)) ?? (await watchToTheEnd(context, ref, lifeline));
  log.info({ ...key, status: outcome.status, rc: outcome.rc }, 'an attempt has ended');
  await slots.release(holderOf(nodeId, ref));
  return outcome;
}

async function watchToTheEnd(context: NodeContext, ref: AttemptRef, lifeline: Lifeline): Promise<Outcome> {
  const { attempts } = context;
  const key = keyOf(ref);
  const folder = attempts.folderOf(key);
  const watch = new FolderWatch(folder);
  const progress = new ProgressReader(folder);
  try {
    for (;;) {
      const seen = await attempts.look(key);
      switch (seen.state) {
        case 'ready':
        case 'never_began':
          if (!(await start(context, ref))) await watch.next(tickMs, lifeline.signal);
          break;
        case 'claimed':
          await watch.next(tickMs, lifeline.signal);
          break;
        case 'running':
          await progress.update();
          lifeline.tell({
            started_at: seen.startedAt?.toISOString() ?? null,
            tasks_done: progress.tasksDone,
            message: seen.message ?? progress.task,
          });
          if (isOverdue(seen, ref, context.killGraceMs))
            refuseLeft(await attempts.end(key, 'timeout', 'its timeout passed'));
          await watch.next(tickMs, lifeline.signal);
          break;
        case 'gone':
          await concludeLost(context, ref, lifeline.signal);
          break;
        case 'absent': {
          const outcome = await concludeAbsent(context, ref, lifeline.signal);
          if (outcome !== undefined) return outcome;
          break;
        }
        case 'void':
          return await attempts.settle(key, seen);
        case 'finished':
          // After a natural end leftovers are the playbook's own affair; after any other, nothing may live on (R10).
          if (!endedNaturally(seen)) refuseLeft(await attempts.end(key, 'lost', ''));
          return await attempts.settle(key, seen);
      }
    }
  } finally {
    watch.close();
  }
}

/**
 * Consumes the token; whether it did. A start that can't be had is put on record as void, so that the next look has the
 * verdict.
 */
async function start({ attempts, log }: NodeContext, ref: AttemptRef): Promise<boolean> {
  const key = keyOf(ref);
  const { claim, reason } = await attempts.start(key, ref.token);
  if (claim === 'failed') {
    log.warn({ ...key, reason }, 'an attempt could not be started');
    refuseLeft(await attempts.end(key, 'launch', reason));
  }
  if (claim === 'absent')
    refuseLeft(await attempts.end(key, 'lost', 'its attempt folder has no token, or another one'));
  return claim === 'taken';
}

/** Whether the timeout has passed so long ago that the supervisor must have failed to keep it. */
function isOverdue(seen: Extract<Look, { state: 'running' }>, { timeout }: AttemptRef, killGraceMs: number): boolean {
  if (timeout === null) return false;
  const elapsedMs =
    seen.startedMonotonicNs !== null
      ? (Number(process.hrtime.bigint()) - seen.startedMonotonicNs) / 1e6
      : Date.now() - (seen.startedAt?.getTime() ?? Date.now());
  return elapsedMs > timeout * 1000 + (seen.supervised ? 2 * killGraceMs + secondInLineMs : 0);
}

/** A verdict of `lost` needs two looks apart (R9), and stragglers ended, before it is put on record. */
async function concludeLost(
  { attempts, confirmIntervalMs }: NodeContext,
  ref: AttemptRef,
  signal: AbortSignal,
): Promise<void> {
  await delay(confirmIntervalMs, undefined, { signal });
  const key = keyOf(ref);
  if ((await attempts.look(key)).state !== 'gone') return;
  refuseLeft(await attempts.end(key, 'lost', 'It started, and neither a process nor a result is left of it'));
}

/**
 * Neither token nor claim is there, by two looks apart: it never starts any more, and nothing that carries its marker may
 * live on (R1). Undefined when there is something to look at after all; that has the verdict then.
 */
async function concludeAbsent(
  { attempts, confirmIntervalMs }: NodeContext,
  ref: AttemptRef,
  signal: AbortSignal,
): Promise<Outcome | undefined> {
  await delay(confirmIntervalMs, undefined, { signal });
  const key = keyOf(ref);
  if ((await attempts.look(key)).state !== 'absent') return undefined;
  refuseLeft(await attempts.end(key, 'lost', 'neither its token nor a claim is in its attempt folder'));
  return (await attempts.look(key)).state === 'absent' ? outcomeOfAbsent() : undefined;
}

function endedNaturally({ result }: Extract<Look, { state: 'finished' }>): boolean {
  return result.rc !== null && result.cause === null;
}

/** @throws NotEndedError naming what is left */
export function refuseLeft({ left, unknown }: Ended): void {
  if (unknown !== null) throw new NotEndedError(unknown);
  if (left.length === 0) return;
  const named = left.slice(0, 10).map(({ pid, command }) => `pid ${pid} (${command})`);
  throw new NotEndedError(`${left.length} process(es) of this attempt can't be killed: ${named.join(', ')}`);
}
