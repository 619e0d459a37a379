import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** A process of this machine, as /proc shows it. */
export interface Process {
  pid: number;
  ppid: number;
  state: string;
  command: string;
  environment: string[];
}

/** All living processes (zombies are dead). */
export function livingProcesses(): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => read(Number(name)))
    .filter((found) => found !== undefined)
    .filter(({ state }) => state !== 'Z' && state !== 'X');
}

/** Those whose environment has this entry. */
export function carrying(entry: string): Process[] {
  return livingProcesses().filter(({ environment }) => environment.includes(entry));
}

/** `pid` and all that descend from it. */
export function treeOf(pid: number): Process[] {
  const all = livingProcesses();
  const tree = all.filter((found) => found.pid === pid);
  for (const parent of tree) tree.push(...all.filter((found) => found.ppid === parent.pid));
  return tree;
}

/** Sends a signal; a process that is gone already is no error. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Has something happen while some processes do nothing. */
export async function whileFrozen<T>(frozen: Process[], happens: () => Promise<T>): Promise<T> {
  for (const { pid } of frozen) signal(pid, 'SIGSTOP');
  try {
    return await happens();
  } finally {
    for (const { pid } of frozen) signal(pid, 'SIGCONT');
  }
}

/** Waits until `condition` gives something other than false or undefined; fails after `seconds`, naming `what`. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  seconds = 90,
): Promise<Exclude<T, false | undefined>> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const asked = Date.now();
    const value = await condition();
    if (value !== false && value !== undefined) return value as Exclude<T, false | undefined>;
    if (Date.now() > deadline) throw new Error(`gave up waiting: ${what}`);
    // A busy machine is not kept busy by questions.
    await delay(Math.min(250, Math.max(50, 4 * (Date.now() - asked))));
  }
}

function read(pid: number): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [state = 'X', ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    return {
      pid,
      ppid: Number(ppid),
      state,
      command,
      environment: readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0'),
    };
  } catch {
    return undefined; // gone meanwhile
  }
}
