import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Outcome } from '../job/outcome.js';
import type { Attempts } from './attempts.js';
import type { AttemptKey } from './folders.js';
import type { Look } from './look.js';
import { outcomeOfAbsent } from './outcome.js';
import type { Ended } from './programs.js';
import { FolderWatch } from './wait.js';

/** How often an attempt is looked at when nothing was announced. */
const tickMs = 1000;
/** How much later than the supervisor the watcher enforces a timeout, beyond two graces. */
const secondInLineMs = 10_000;

/** Something of an attempt lives on although it was killed, or can't be looked at; named, and to be tried again. */
export class NotEndedError extends Error {
  override readonly name = 'NotEndedError';
}

/** An attempt that was prepared, and what it takes to start and to time it. */
export interface WatchedAttempt {
  key: AttemptKey;
  token: string;
  /** Seconds from the start; null: none. */
  timeout: number | null;
}

/** What watching needs of the node. */
export interface WatchTools {
  attempts: Attempts;
  log: Logger;
  /** Between the two looks before the verdict `lost`. */
  confirmIntervalMs: number;
  killGraceMs: number;
}

/** Whoever watches. */
export interface Watcher {
  /** Called at every look at the running attempt. */
  observe(seen: RunningLook): Promise<void> | void;
  /** Ends the watching; nothing of the attempt ends by it. */
  signal: AbortSignal;
}

export type RunningLook = Extract<Look, { state: 'running' }>;

/**
 * Watches one attempt from wherever it stands to its end, starting it if nobody has, and returns its outcome. Any number may watch the same attempt, one after another or at once: its evidence decides, not they (R1-R3).
 * @throws NotEndedError while something of it can't be ended; to be called again
 */
export async function watchToTheEnd(tools: WatchTools, watched: WatchedAttempt, watcher: Watcher): Promise<Outcome> {
  const { attempts, killGraceMs } = tools;
  const { key, timeout } = watched;
  const { signal } = watcher;
  const settled = await attempts.settled(key);
  if (settled !== undefined) return settled;
  const folder = new FolderWatch(attempts.folderOf(key));
  try {
    for (;;) {
      const seen = await attempts.look(key);
      switch (seen.state) {
        case 'ready':
        case 'never_began':
          if (!(await start(tools, watched))) await folder.next(tickMs, signal);
          break;
        case 'claimed':
          await folder.next(tickMs, signal);
          break;
        case 'running':
          await watcher.observe(seen);
          if (isOverdue(seen, timeout, killGraceMs))
            refuseLeft(await attempts.end(key, 'timeout', 'its timeout passed'));
          await folder.next(tickMs, signal);
          break;
        case 'gone':
          await concludeLost(tools, key, signal);
          break;
        case 'absent': {
          const outcome = await concludeAbsent(tools, key, signal);
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
    folder.close();
  }
}

/** @throws NotEndedError naming what is left */
export function refuseLeft({ left, unknown }: Ended): void {
  if (unknown !== null) throw new NotEndedError(unknown);
  if (left.length === 0) return;
  const named = left.slice(0, 10).map(({ pid, command }) => `pid ${pid} (${command})`);
  throw new NotEndedError(`${left.length} process(es) of this attempt can't be killed: ${named.join(', ')}`);
}

/**
 * Consumes the token; whether it did. A start that can't be had is put on record as void, so that the next look has the
 * verdict.
 */
async function start({ attempts, log }: WatchTools, { key, token }: WatchedAttempt): Promise<boolean> {
  const { claim, reason } = await attempts.start(key, token);
  if (claim === 'failed') {
    log.warn({ ...key, reason }, 'an attempt could not be started');
    refuseLeft(await attempts.end(key, 'launch', reason));
  }
  if (claim === 'absent')
    refuseLeft(await attempts.end(key, 'lost', 'its attempt folder has no token, or another one'));
  return claim === 'taken';
}

/** Whether the timeout has passed so long ago that the supervisor must have failed to keep it. */
function isOverdue(seen: RunningLook, timeout: number | null, killGraceMs: number): boolean {
  if (timeout === null) return false;
  const elapsedMs =
    seen.startedMonotonicNs !== null
      ? (Number(process.hrtime.bigint()) - seen.startedMonotonicNs) / 1e6
      : Date.now() - (seen.startedAt?.getTime() ?? Date.now());
  return elapsedMs > timeout * 1000 + (seen.supervised ? 2 * killGraceMs + secondInLineMs : 0);
}

/** A verdict of `lost` needs two looks apart (R9), and stragglers ended, before it is put on record. */
async function concludeLost(
  { attempts, confirmIntervalMs }: WatchTools,
  key: AttemptKey,
  signal: AbortSignal,
): Promise<void> {
  await delay(confirmIntervalMs, undefined, { signal });
  if ((await attempts.look(key)).state !== 'gone') return;
  refuseLeft(await attempts.end(key, 'lost', 'It started, and neither a process nor a result is left of it'));
}

/**
 * Neither token nor claim is there, by two looks apart: it never starts any more, and nothing that carries its marker may
 * live on (R1). Undefined when there is something to look at after all; that has the verdict then.
 */
async function concludeAbsent(
  { attempts, confirmIntervalMs }: WatchTools,
  key: AttemptKey,
  signal: AbortSignal,
): Promise<Outcome | undefined> {
  await delay(confirmIntervalMs, undefined, { signal });
  if ((await attempts.look(key)).state !== 'absent') return undefined;
  refuseLeft(await attempts.end(key, 'lost', 'neither its token nor a claim is in its attempt folder'));
  return (await attempts.look(key)).state === 'absent' ? outcomeOfAbsent() : undefined;
}

function endedNaturally({ result }: Extract<Look, { state: 'finished' }>): boolean {
  return result.rc !== null && result.cause === null;
}
