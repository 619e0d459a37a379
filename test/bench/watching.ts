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
const countingMs = 2_000;
/** The commands end one after another, so many a second. */
const endsPerSecond = 4;
const submissionsAtOnce = 8;
/** So many are submitted before it is looked how many still wait for their start. */
const batchSize = 100;

/** What it costs to watch `jobs` live commands on `hosts` host names over ssh, and how soon their ends are known. */
export async function measureWatching(jobs: number, hosts: number): Promise<Watching> {
  const service = await TargetService.start(
    // The hosts are this machine, too: they have the CPU that the service leaves, for elsewhere they have one of their own.
    { hosts, servers: hosts, givesWay: true },
    { HEARTBEAT_TIMEOUT: '60', SWEEP_INTERVAL: '60', NODE_TIMEOUT: '30' },
  );
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  let interruption: NodeJS.Signals | undefined;
  // Interrupted, it leaves nothing running either.
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of signals)
      process.on(signal, () => {
        interruption = signal;
        reject(new Error(`interrupted by ${signal}`));
      });
  });
  try {
    return await Promise.race([measured(service, jobs, hosts), interrupted]);
  } finally {
    await service.destroy();
    for (const signal of signals) process.removeAllListeners(signal);
    if (interruption !== undefined) process.kill(process.pid, interruption);
  }
}

async function measured(service: TargetService, jobs: number, hosts: number): Promise<Watching> {
  const gate = path.join(service.targets.folder, 'gate');
  execFileSync('mkfifo', [gate]);
  const began = Date.now();
  await submitAll(service, jobs, hosts, gate);
  await untilCounted(service, 'all to run', ({ running }) => running === jobs);
  const start_seconds = (Date.now() - began) / 1000;
  console.error(`${jobs} run after ${start_seconds.toFixed(0)} s`);

  await delay(settleMs);
  const cores = await coresWhile(service, windowMs);
  const memory = { worker_rss_mb: megabytes(service, 'worker'), temporal_rss_mb: megabytes(service, 'temporal') };
  // Whoever waits to read is let go when somebody writes.
  closeSync(openSync(gate, 'w'));
  await untilCounted(service, 'all to have ended', ({ successful }) => successful === jobs, 900).catch(() => undefined);
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
}

async function submitAll(service: TargetService, jobs: number, hosts: number, gate: string): Promise<void> {
  const numbers = Array.from({ length: jobs }, (_, index) => index);
  // By batches: to count costs Temporal as much as a start does.
  while (numbers.length > 0) {
    const batch = numbers.splice(0, batchSize);
    const submit = async (): Promise<void> => {
      for (let number = batch.shift(); number !== undefined; number = batch.shift())
        await accepted(service, specOf(number, jobs, hosts, gate));
    };
    await Promise.all(Array.from({ length: submissionsAtOnce }, submit));
    await untilCounted(service, 'jobs to start', ({ pending = 0 }) => pending < batchSize);
  }
}

/** A command that waits for the gate, and ends in its turn from then on. */
function specOf(number: number, jobs: number, hosts: number, gate: string): object {
  const seconds = ((number * 7919) % jobs) / endsPerSecond;
  const command = `read _ < ${gate}; exec sleep ${seconds}`;
  return { command, hosts: `ssh-${(number % hosts) + 1}`, name: `job-${number}` };
}

/** Submits a job as a client does that takes a 503 as it is meant: the name makes it safe to repeat. */
async function accepted(targets: TargetService, spec: object): Promise<void> {
  await until('a job to be accepted', async () => {
    const { status, text } = await targets.service.post('/api/v1/jobs', { ...targets.spec, ...spec });
    if (status !== 503 && status >= 300) throw new Error(`not accepted: ${status} ${text}`);
    return status !== 503;
  });
}

/** Asks seldom, for the question is part of the load. */
async function untilCounted(
  service: TargetService,
  what: string,
  isSo: (counts: Record<string, number>) => boolean,
  seconds = 3600,
): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!isSo(await counts(service))) {
    if (Date.now() > deadline) throw new Error(`gave up waiting: ${what}`);
    await delay(countingMs);
  }
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
