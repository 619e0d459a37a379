import { existsSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { carrying, signal, until } from '../service/processes.js';
import { TargetService } from '../service/target-service.js';

export interface Naming {
  failure: string;
  connection: string;
  /** What it was called, and what it is. */
  named: string;
  expected: string;
  /** From the failure until the job's document says so. */
  seconds: number;
}

/** Until the looks at a job are as far apart as they get: 6 s, and 30 s where a host can't be reached. */
const settleMs = 65_000;
const timeoutSeconds = 90;
const unreachableSeconds = 30;

/** A command that runs on a host: its pid, the entry in the environment of all its processes, and the folder with its records. */
interface Own {
  pid: number;
  marker: string;
  folder: string;
}

interface Case {
  failure: string;
  expected: string;
  /** Of the job that it happens to. */
  spec?: object;
  happen: (own: Own) => void;
  /** How long after it happened, or began, it counts, in seconds. */
  after?: number;
}

const cases: Case[] = [
  { failure: 'rc 3', expected: 'exit', happen: ({ pid }) => signal(pid, 'SIGUSR1') },
  { failure: 'TERM from elsewhere', expected: 'killed', happen: ({ pid }) => signal(pid, 'SIGTERM') },
  { failure: 'KILL from elsewhere', expected: 'killed', happen: ({ pid }) => signal(pid, 'SIGKILL') },
  { failure: 'KILL of all its processes', expected: 'orphaned', happen: killAll },
  { failure: 'a reboot', expected: 'lost', happen: reboot },
  {
    failure: 'its folder is removed, all is killed',
    expected: 'lost',
    happen: (own) => {
      killAll(own);
      rmSync(own.folder, { recursive: true });
    },
  },
  { failure: 'its timeout', expected: 'timed_out', spec: { timeout: timeoutSeconds }, happen: () => undefined },
];
const adoptedCases = ['KILL with its wrapper', 'KILL with its wrapper, file emptied'];

/** How soon each failure on a host is named in the job's document, over ssh and with `connection: local`. */
export async function measureNaming(): Promise<Naming[]> {
  const targets = await TargetService.start(
    { hosts: 2, servers: 2 },
    { HEARTBEAT_TIMEOUT: '60', SWEEP_INTERVAL: '60' },
  );
  try {
    const measuring = await Promise.all([
      ...['ssh-1', 'here'].flatMap((host) => [
        ...cases.map((one) => measured(targets, one, host)),
        ...adoptedCases.map((failure) => measuredAdopted(targets, failure, host)),
      ]),
      measuredAway(targets),
    ]);
    await delay(settleMs);
    return await Promise.all(measuring.map((happen) => happen()));
  } finally {
    await targets.destroy();
  }
}

/** Starts what it is to happen to; the returned function has it happen, and measures. */
async function measured(
  targets: TargetService,
  { failure, expected, spec, happen }: Case,
  host: string,
): Promise<() => Promise<Naming>> {
  const trace = path.join(targets.targets.folder, `${host} ${failure}`);
  const name = `${host}-${failure.replaceAll(/\W+/g, '-')}`;
  // With a child in a session of its own.
  const command = `trap "exit 3" USR1; setsid sleep 600 & echo $$ $LONGHAUL_TASK > '${trace}'; wait`;
  const job = await targets.submit({ command, hosts: host, name, ...spec });
  const own = await until('its begin', () => {
    const [pid, id = ''] = existsSync(trace) ? readFileSync(trace, 'utf8').trim().split(' ') : [];
    const folder = path.join(targets.targets.folder, 'tasks', id);
    return id !== '' && { pid: Number(pid), marker: `LONGHAUL_TASK=${id}`, folder };
  });
  const { started_at } = await targets.service.reaches(job.job_id as string, 'running');
  return async () => {
    happen(own);
    const since = spec === undefined ? Date.now() : Date.parse(started_at as string) + timeoutSeconds * 1000;
    try {
      return await naming(targets, job.job_id as string, { failure, expected, host, since });
    } finally {
      // What a command that ended by itself has left running is not the job's.
      killAll(own);
    }
  };
}

async function measuredAdopted(targets: TargetService, failure: string, host: string): Promise<() => Promise<Naming>> {
  const name = `${host}-adopted-${failure.replaceAll(/\W+/g, '-')}`;
  const id = targets.startElsewhere(host, targets.sleeper(name));
  await targets.pidOf(name);
  const job = await targets.adopt(host, id, { name });
  await targets.service.reaches(job.job_id as string, 'running');
  return () => {
    targets.killElsewhere(id);
    if (failure.includes('emptied')) truncateSync(path.join(targets.targets.folder, 'elsewhere', id));
    const known = { failure: `adopted: ${failure}`, expected: 'orphaned', host, since: Date.now() };
    return naming(targets, job.job_id as string, known);
  };
}

async function measuredAway(targets: TargetService): Promise<() => Promise<Naming>> {
  const host = 'ssh-2';
  const spec = { command: 'sleep 600', hosts: host, name: 'away', unreachable_after: unreachableSeconds };
  const { job_id } = await targets.submit(spec);
  await targets.service.reaches(job_id as string, 'running');
  return async () => {
    await targets.targets.serverOf(host).stop();
    const since = Date.now() + unreachableSeconds * 1000;
    return naming(targets, job_id as string, { failure: 'unreachable', expected: 'unreachable', host, since });
  };
}

async function naming(
  { service }: TargetService,
  jobId: string,
  { host, since, ...known }: { failure: string; expected: string; host: string; since: number },
): Promise<Naming> {
  const document = await until(
    `the end of ${jobId}`,
    async () => {
      const seen = await service.job(jobId);
      return seen.finished_at === null ? undefined : seen;
    },
    300,
  );
  const named = String(document.failure?.kind ?? document.status);
  const connection = host === 'here' ? 'local' : 'ssh';
  return { ...known, connection, named, seconds: (Date.now() - since) / 1000 };
}

/** Those first that would tell of the others. */
function killAll({ marker }: Own): void {
  for (const name of ['SIGSTOP', 'SIGKILL'] as const) for (const { pid } of carrying(marker)) signal(pid, name);
}

/** All is gone, and the records are those of another boot. */
function reboot(own: Own): void {
  killAll(own);
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  for (const name of readdirSync(own.folder)) {
    const file = path.join(own.folder, name);
    const content = readFileSync(file, 'utf8');
    if (content.includes(boot)) writeFileSync(file, content.replaceAll(boot, boot.split('').reverse().join('')));
  }
}
