import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Outcome } from '../../src/job/outcome.js';
import { loadConfig } from '../../src/config.js';
import { seeded, type Chaos } from '../service/chaos.js';
import { textOf, until, type Job } from './bench.js';

/**
 * Who dies at a crash point: the driver, the supervisor, Ansible, or the program that ends an attempt; of a task on a
 * target also what Ansible calls, the command, and what copies its output.
 */
export type Role = 'D' | 'S' | 'A' | 'E' | 'P' | 'C' | 'T';

/** The moment right before a durable step of a process. */
export interface CrashPoint {
  role: Role;
  number: number;
  call: string;
  /** What the step is about, without the folders before it. */
  target: string;
}

/** A driver that runs by itself or traced to a crash point. */
export interface Driver {
  /** What it printed; undefined if it died before. */
  outcome: Promise<Outcome | undefined>;
  /** Everything that it started and that is traced has ended. */
  ended: Promise<void>;
}

/** Runs driver.ts. @param before what the command line begins with */
export function drive(mode: 'run' | 'cancel', job: Job, before: string[] = []): Driver & { pid: number } {
  const node = [
    process.execPath,
    '--import',
    'tsx',
    path.join(import.meta.dirname, 'driver.ts'),
    mode,
    JSON.stringify(job),
  ];
  // env does nothing but execute what follows.
  const child = spawn('env', [...before, ...node], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, UV_USE_IO_URING: '0' },
  });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].on('data', (part: Buffer) => (said[name] += part.toString()));
  const closed = once(child, 'close');
  const outcome = closed.then(() => {
    if (said.stdout !== '') return JSON.parse(said.stdout) as Outcome;
    if (child.exitCode !== null && child.exitCode !== 0) throw new Error(`the driver failed: ${said.stderr}`);
    return undefined;
  });
  outcome.catch(() => undefined);
  return { pid: child.pid ?? 0, outcome, ended: closed.then(() => undefined) };
}

/** Runs driver.ts so that `role`, and with it `also`, dies right before its step `number`; nobody dies without a point. */
export function driveTo(
  mode: 'run' | 'cancel',
  job: Job,
  point?: Pick<CrashPoint, 'role' | 'number'>,
  also: Role[] = [],
): Driver & { pid: number; log: () => Promise<string> } {
  const log = path.join(job.dataDir, `steps.${mode}`);
  const below = ['runs', 'slots'].map((name) => path.join(job.dataDir, name)).join(':');
  const at = point === undefined ? '-' : [point.role, point.number, ...also].join(':');
  const driver = drive(mode, job, [
    loadConfig({}).python,
    path.join(import.meta.dirname, 'crash_point.py'),
    log,
    below,
    at,
  ]);
  return { ...driver, log: () => textOf(log) };
}

/** Waits until the kill of a crash point has happened, or the point turned out not to be reached. */
export async function reached(driver: ReturnType<typeof driveTo>): Promise<boolean> {
  let over = false;
  void driver.ended.then(() => (over = true));
  await until('the crash point', async () => over || (await driver.log()).includes('killed\n'));
  return (await driver.log()).includes('killed\n');
}

/** Containers may forbid to trace processes. */
export function canTrace(): boolean {
  const attempt = 'import ctypes; raise SystemExit(ctypes.CDLL(None).ptrace(0, 0, None, None) != 0)';
  return spawnSync(loadConfig({}).python, ['-c', attempt]).status === 0;
}

/** The points of a role: all of them, or a few that the seed chooses. */
export function chosen(points: CrashPoint[], role: Role, { seed, rounds }: Chaos): CrashPoint[] {
  const its = points.filter((point) => point.role === role);
  const random = seeded(seed + its.length); // not the same ones of each list
  const ranked = its.map((point) => ({ point, rank: random() })).sort((one, other) => one.rank - other.rank);
  return ranked
    .slice(0, rounds)
    .map(({ point }) => point)
    .sort((one, other) => one.number - other.number);
}

/** The steps in a log of an undisturbed run. */
export function pointsOf(log: string): CrashPoint[] {
  return log.split('\n').flatMap((line) => {
    const [role, number, call, target] = line.split(' ');
    return target === undefined
      ? []
      : [{ role: role as Role, number: Number(number), call: call ?? '', target: nameOf(target) }];
  });
}

/** The file's name, without what makes that of a temporary one unique. */
function nameOf(target: string): string {
  return path
    .basename(target)
    .replace(/\.\d+\.[0-9a-f]+$/, ' (aside)')
    .replace(/\[\d+\]$/, '');
}

/** Whether Ansible is at or beyond a record that it writes, when it dies at this point. */
export function hasWritten(points: CrashPoint[], point: CrashPoint, record: string): boolean {
  return points.some(
    ({ role, number, call, target }) =>
      role === 'A' && number < point.number && call.startsWith('link') && target === record,
  );
}
