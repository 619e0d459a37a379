import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { JobMemo } from '../../src/job/protocol.js';
import { until } from '../service/processes.js';
import { TargetService } from '../service/target-service.js';
import { cpuOf, memoryOf, payers, type Payer } from './usage.js';

export interface Watching {
  jobs: number;
  hosts: number;
  /** From the first submission until all ran. */
  start_seconds: number;
  /** Shares of a core, on average while nothing happened. */
  cores: Record<Payer | 'all', number>;
  worker_rss_mb: number;
  temporal_rss_mb: number;
  /** From a command's end to its job's. */
  latency_seconds: { p50: number; p95: number; max: number };
  missed: number;
}

const settleMs = 20_000;
const windowMs = 60_000;
/** Over how long the commands end. */
const endsWithinSeconds = 60;
const submissionsAtOnce = 16;

/** What it costs to watch `jobs` live commands on `hosts` host names over ssh, and how soon their ends are known. */
export async function measureWatching(jobs: number, hosts: number): Promise<Watching> {
  const service = await TargetService.start(
    { hosts, servers: hosts },
    { HEARTBEAT_TIMEOUT: '60', SWEEP_INTERVAL: '60', NODE_TIMEOUT: '30' },
  );
  // Interrupted, it leaves nothing running either.
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const stop = (signal: NodeJS.Signals): void =>
    void service.destroy().finally(() => process.kill(process.pid, signal));
  for (const signal of signals) process.once(signal, stop);
  try {
    const gate = path.join(service.targets.folder, 'gate');
    execFileSync('mkfifo', [gate]);
    const began = Date.now();
    await submitAll(service, jobs, hosts, gate);
    await until('all to run', async () => ((await counts(service)).running ?? 0) === jobs, 3600);
    const start_seconds = (Date.now() - began) / 1000;
    console.error(`${jobs} run after ${start_seconds.toFixed(0)} s`);

    await delay(settleMs);
    const cores = await coresWhile(service, windowMs);
    const memory = { worker_rss_mb: megabytes(service, 'worker'), temporal_rss_mb: megabytes(service, 'temporal') };
    // Whoever waits to read is let go when somebody writes.
    closeSync(openSync(gate, 'w'));
    await until('all to have ended', async () => (await counts(service)).successful === jobs, 600).catch(
      () => undefined,
    );
    const latencies = await latenciesOf(service);
    return {
      jobs,
      hosts,
      start_seconds,
      cores,
      ...memory,
      latency_seconds: { p50: quantile(latencies, 0.5), p95: quantile(latencies, 0.95), max: quantile(latencies, 1) },
      missed: jobs - ((await counts(service)).successful ?? 0),
    };
  } finally {
    for (const signal of signals) process.off(signal, stop);
    await service.destroy();
  }
}

async function submitAll(service: TargetService, jobs: number, hosts: number, gate: string): Promise<void> {
  const numbers = Array.from({ length: jobs }, (_, index) => index);
  const submit = async (): Promise<void> => {
    for (let number = numbers.shift(); number !== undefined; number = numbers.shift()) {
      const seconds = ((number * 7919) % (endsWithinSeconds * 10)) / 10;
      const command = `read _ < ${gate}; exec sleep ${seconds}`;
      await service.submit({ command, hosts: `ssh-${(number % hosts) + 1}`, name: `job-${number}` });
    }
  };
  await Promise.all(Array.from({ length: submissionsAtOnce }, submit));
}

async function counts({ service }: TargetService): Promise<Record<string, number>> {
  return (await service.get('/api/v1/jobs/counts')).body as Record<string, number>;
}

async function coresWhile(service: TargetService, ms: number): Promise<Watching['cores']> {
  const [before, from] = [cpuOf(service), performance.now()];
  await delay(ms);
  const [after, seconds] = [cpuOf(service), (performance.now() - from) / 1000];
  const shares = Object.fromEntries(payers.map((payer) => [payer, (after[payer] - before[payer]) / seconds]));
  const all = Object.values(shares).reduce((sum, share) => sum + share, 0);
  return { ...shares, all } as Watching['cores'];
}

function megabytes(service: TargetService, role: 'worker' | 'temporal'): number {
  return Math.round(memoryOf(service, role) / 1e6);
}

/** By Temporal's clock and the hosts', which are one machine's here. */
async function latenciesOf({ service }: TargetService): Promise<number[]> {
  const client = await service.temporal();
  const latencies: number[] = [];
  for await (const { closeTime, memo } of client.workflow.list({ query: "WorkflowType = 'job'", pageSize: 500 })) {
    const { outcome } = (memo ?? {}) as Partial<JobMemo>;
    if (closeTime !== undefined && outcome !== undefined)
      latencies.push((closeTime.getTime() - Date.parse(outcome.finished_at)) / 1000);
  }
  return latencies.sort((one, other) => one - other);
}

function quantile(sorted: number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN;
}
