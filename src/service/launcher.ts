import { readFileSync } from 'node:fs';
import { identityOf, liveness, type ProcessIdentity } from '../ansible/identity.js';

const lookEveryMs = 500;
const shells = ['sh', 'dash', 'bash', 'ash', 'busybox'];

/**
 * Calls `gone` once when the npm that started us has died, also when a shell stands between it and us.
 * @param parent our parent's pid
 */
export function watchLauncher(parent: number, gone: () => void): void {
  const followed = launchers(parent);
  const timer = setInterval(() => {
    if (followed.every((process) => liveness(process) !== 'dead')) return;
    clearInterval(timer);
    gone();
  }, lookEveryMs);
  timer.unref();
}

function launchers(parent: number): ProcessIdentity[] {
  const { name, parent: grandparent } = statusOf(parent);
  const pids = shells.includes(name) && grandparent > 1 ? [parent, grandparent] : [parent];
  return pids.map(identityOf).filter((identity) => identity !== undefined);
}

function statusOf(pid: number): { name: string; parent: number } {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return { name: /^Name:\t(.*)$/m.exec(text)?.[1] ?? '', parent: Number(/^PPid:\t(\d+)$/m.exec(text)?.[1] ?? 0) };
}
