import { setTimeout as sleep } from 'node:timers/promises';
import { liveness, type ProcessIdentity } from '../ansible/identity.js';
import { isErrno } from '../disk/errno.js';

const lookEveryMs = 20;
const killWaitMs = 10_000;

/**
 * Ends a process: TERM, then KILL when `graceMs` have passed or `hurry` is aborted. Resolves when it is verifiably gone.
 * @throws Error when it survives KILL, which only a process stuck in the kernel does
 */
export async function endProcess(process: ProcessIdentity, graceMs: number, hurry?: AbortSignal): Promise<void> {
  send(process, 'SIGTERM');
  // One that was stopped hears nothing else.
  send(process, 'SIGCONT');
  if (await isGoneWithin(process, graceMs, hurry)) return;
  send(process, 'SIGKILL');
  if (await isGoneWithin(process, killWaitMs)) return;
  throw new Error(
    `Process ${process.pid} did not end after SIGKILL. Look at its state with ps; it may wait for a disk.`,
  );
}

async function isGoneWithin(process: ProcessIdentity, ms: number, hurry?: AbortSignal): Promise<boolean> {
  const deadline = performance.now() + ms;
  while (liveness(process) === 'alive') {
    if (performance.now() >= deadline || hurry?.aborted) return false;
    await sleep(lookEveryMs);
  }
  return true;
}

function send(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (liveness(identity) !== 'alive') return;
  try {
    process.kill(identity.pid, signal);
  } catch (error) {
    // It ended between the look and the signal.
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}
