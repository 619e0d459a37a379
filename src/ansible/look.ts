import { stat } from 'node:fs/promises';
import path from 'node:path';
import { isErrno } from '../disk/errno.js';
import { liveness, type ProcessIdentity } from './identity.js';
import { readLastClaim, readRecord, Result, Started, type Claim } from './records.js';

/** What one look at an attempt's folder and processes shows: the truth table of docs/architecture.md. */
export type Look =
  | { state: 'absent' }
  | { state: 'ready' }
  | { state: 'void'; cause: string; reason: string }
  | { state: 'claimed' }
  | { state: 'never_began' }
  | ({ state: 'running'; supervised: boolean; message: string | null } & StartedAt)
  | ({ state: 'finished'; result: Result } & StartedAt)
  | ({ state: 'gone' } & StartedAt);

interface StartedAt {
  startedAt: Date | null;
  /** CLOCK_MONOTONIC of the start, in ns, in the boot that `process.hrtime` measures too; null if unknown. */
  startedMonotonicNs: number | null;
}

/** Tells the members of an attempt, when its claim can't say who they are. */
export type ListMembers = (folder: string) => Promise<unknown[]>;

/**
 * One look. `gone` (started, nothing alive, no result) is a verdict only when a second look, some time later, agrees.
 * Processes are looked at before files: what ended in between is seen in the files.
 */
export async function look(folder: string, members: ListMembers): Promise<Look> {
  const result = await readRecord(folder, 'result.json', Result);
  if (isReadable(result)) return { state: 'finished', result, ...(await readStart(folder)) };
  const last = await readLastClaim(folder);
  if (last === undefined) return lookAtUnclaimed(folder);
  if (last.claim !== 'corrupt' && last.claim.void)
    return { state: 'void', cause: last.claim.cause, reason: last.claim.reason };
  const alive = await lookAtProcesses(folder, last.claim, members);
  return lookAtFiles(folder, last.number, alive);
}

interface Alive {
  alive: boolean;
  supervised: boolean;
  message: string | null;
}

async function lookAtUnclaimed(folder: string): Promise<Look> {
  const hasToken = await exists(path.join(folder, 'token'));
  // A first claim that was taken since we looked has consumed the token.
  if (!hasToken && (await readLastClaim(folder)) !== undefined) return { state: 'claimed' };
  return hasToken ? { state: 'ready' } : { state: 'absent' };
}

async function lookAtProcesses(folder: string, claim: Claim | 'corrupt', members: ListMembers): Promise<Alive> {
  if (claim === 'corrupt') {
    const found = await members(folder);
    return { alive: found.length > 0, supervised: false, message: 'its claim is unreadable; found by its marker' };
  }
  if (claim.void) return { alive: false, supervised: false, message: null };
  const [supervisor, ansible] = [liveness(claim.supervisor), liveness(claim.ansible)];
  if (supervisor === 'unknown' || ansible === 'unknown')
    return { alive: true, supervised: false, message: unknown(claim.ansible) };
  const message = supervisor === 'dead' && ansible === 'alive' ? 'its supervisor is gone; it goes on' : null;
  return { alive: supervisor === 'alive' || ansible === 'alive', supervised: supervisor === 'alive', message };
}

async function lookAtFiles(folder: string, claimNumber: number, { alive, supervised, message }: Alive): Promise<Look> {
  const started = await exists(path.join(folder, 'started'));
  if (!started) {
    const newer = await readLastClaim(folder);
    if (alive || newer === undefined || newer.number !== claimNumber) return { state: 'claimed' };
    return { state: 'never_began' };
  }
  const start = await readStart(folder);
  const result = await readRecord(folder, 'result.json', Result);
  if (isReadable(result)) return { state: 'finished', result, ...start };
  return alive ? { state: 'running', supervised, message, ...start } : { state: 'gone', ...start };
}

/** When it started; from the file's time where the record can't be read. */
async function readStart(folder: string): Promise<StartedAt> {
  const started = await readRecord(folder, 'started', Started);
  if (started === undefined) return { startedAt: null, startedMonotonicNs: null };
  if (started !== 'corrupt')
    return { startedAt: new Date(started.at * 1000), startedMonotonicNs: started.monotonic_ns };
  const { mtime } = await stat(path.join(folder, 'started'));
  return { startedAt: mtime, startedMonotonicNs: null };
}

function unknown({ pid }: ProcessIdentity): string {
  return `whether pid ${pid} still runs can't be seen from this pid namespace`;
}

function isReadable<T>(record: T | 'corrupt' | undefined): record is T {
  return record !== undefined && record !== 'corrupt';
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}
