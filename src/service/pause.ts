import { readdirSync, readFileSync } from 'node:fs';
import { liveness, type ProcessIdentity } from '../ansible/identity.js';
import { isErrno } from '../disk/errno.js';

const patienceMs = 200;
const pauseMs = 1;

/**
 * Does `work` while another process stands still: no thread of it is in the middle of anything. All of it is synchronous, so
 * that nothing of ours comes between the stop and the continuation.
 * @returns false, and `work` was not done, if it is dead or a thread of it doesn't stop, as in a long call of the kernel
 */
export function whilePaused(identity: ProcessIdentity, work: () => void): boolean {
  if (liveness(identity) !== 'alive') return false;
  process.kill(identity.pid, 'SIGSTOP');
  try {
    if (!standsStill(identity.pid)) return false;
    work();
    return true;
  } finally {
    process.kill(identity.pid, 'SIGCONT');
  }
}

function standsStill(pid: number): boolean {
  const until = performance.now() + patienceMs;
  while (!statesOfThreads(pid).every((state) => state === 'T' || state === 't')) {
    if (performance.now() >= until) return false;
    // A sleep that lets nothing else happen here.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
  }
  return true;
}

function statesOfThreads(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    try {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1');
      return [stat.charAt(stat.lastIndexOf(')') + 2)];
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ESRCH')) return [];
      throw error;
    }
  });
}
