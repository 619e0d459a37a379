import { readFileSync, writeFileSync } from 'node:fs';
import type { Service } from './service.js';

const roles = ['worker', 'api'] as const;

/** How much resident memory the worker and the API have, in bytes. */
export class Memory {
  readonly #pids: Record<(typeof roles)[number], number>;
  readonly #before: Record<(typeof roles)[number], number>;

  /** Starts to measure; what they have now is what growth is counted from. */
  constructor(service: Service) {
    this.#pids = { worker: onlyPid(service, 'worker'), api: onlyPid(service, 'api') };
    for (const role of roles) writeFileSync(`/proc/${this.#pids[role]}/clear_refs`, '5');
    this.#before = { worker: this.#read('worker', 'VmRSS'), api: this.#read('api', 'VmRSS') };
  }

  /** By how much each has grown at most since the start, by the kernel's own account of the peak. */
  get growth(): Record<(typeof roles)[number], number> {
    const grown = (role: (typeof roles)[number]): number => this.#read(role, 'VmHWM') - this.#before[role];
    return { worker: grown('worker'), api: grown('api') };
  }

  #read(role: (typeof roles)[number], field: 'VmRSS' | 'VmHWM'): number {
    const status = readFileSync(`/proc/${this.#pids[role]}/status`, 'utf8');
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
  }
}

function onlyPid(service: Service, role: (typeof roles)[number]): number {
  const [found, another] = service.processesOf(role);
  if (found === undefined || another !== undefined) throw new Error(`not exactly one ${role}`);
  return found.pid;
}
