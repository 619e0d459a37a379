import { readFileSync } from 'node:fs';
import { livingProcesses, type Process } from '../service/processes.js';
import type { TargetService } from '../service/target-service.js';

/** What is paid for: the worker, its Ansible, and Temporal. */
export const payers = ['worker', 'ansible', 'temporal'] as const;
export type Payer = (typeof payers)[number];

const ticksPerSecond = 100;

/** CPU seconds that each has used so far, with all of its processes that have ended. */
export function cpuOf(hosts: TargetService): Record<Payer, number> {
  const used = { worker: 0, ansible: 0, temporal: 0 };
  const service = { worker: hosts.service.processesOf('worker'), temporal: hosts.service.processesOf('temporal') };
  for (const process of livingProcesses()) {
    const payer = payerOf(process, service, hosts.targets.folder);
    if (payer !== undefined) used[payer] += cpuSeconds(process.pid);
  }
  return used;
}

/** Resident memory in bytes. */
export function memoryOf(hosts: TargetService, role: 'worker' | 'temporal'): number {
  const [{ pid } = { pid: 0 }] = hosts.service.processesOf(role);
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

function payerOf(
  { pid, command }: Process,
  { worker, temporal }: Record<'worker' | 'temporal', Process[]>,
  targetsFolder: string,
): Payer | undefined {
  if (worker.some((found) => found.pid === pid)) return 'worker';
  if (temporal.some((found) => found.pid === pid)) return 'temporal';
  // Those that serve the connections belong to nobody.
  const isOfConnections = command.startsWith('ssh') && command.includes(targetsFolder);
  return isOfConnections || command.includes('longhaul_agent') ? 'ansible' : undefined;
}

/** Of a process and of its children that it has waited for. */
function cpuSeconds(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0) / ticksPerSecond;
  } catch {
    return 0; // gone meanwhile
  }
}
