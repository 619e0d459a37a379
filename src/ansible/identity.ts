import { readFileSync, readlinkSync } from 'node:fs';
import { z } from 'zod';
import { isErrno } from '../disk/errno.js';

/** What tells a process from any other: a pid alone comes back for another one (R9). */
export const ProcessIdentity = z.object({
  pid: z.int().positive(),
  start: z.int(),
  boot: z.string(),
  pidns: z.string(),
});
export type ProcessIdentity = z.infer<typeof ProcessIdentity>;

/** The id of this boot of the machine. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** The identity of a living process; undefined if there is none with this pid. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  if (stat === undefined) return undefined;
  return { pid, start: stat.start, boot: bootId(), pidns: readlinkSync('/proc/self/ns/pid') };
}

/** Whether the process lives; `unknown` from another pid namespace of the same boot. */
export function liveness(known: ProcessIdentity): 'alive' | 'dead' | 'unknown' {
  if (known.boot !== bootId()) return 'dead';
  if (known.pidns !== readlinkSync('/proc/self/ns/pid')) return 'unknown';
  const stat = readStat(known.pid);
  return stat !== undefined && stat.start === known.start && !stat.isDead ? 'alive' : 'dead';
}

function readStat(pid: number): { isDead: boolean; start: number } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return undefined;
    throw error;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state = 'X'] = fields;
  // What has lost its main thread, or is just being killed, is a zombie with other threads, which run and hold what it has open.
  return { isDead: state === 'X' || (state === 'Z' && Number(fields[17]) <= 1), start: Number(fields[19]) };
}
