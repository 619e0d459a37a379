import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import type { NodeContext } from '../../src/activities/context.js';
import { holderOf, keyOf } from '../../src/activities/context.js';
import { place } from '../../src/activities/place.js';
import { run } from '../../src/activities/run.js';
import { createAttempts, type Attempts } from '../../src/ansible/attempts.js';
import { markerOf, type AttemptKey } from '../../src/ansible/folders.js';
import { identityOf, type ProcessIdentity } from '../../src/ansible/identity.js';
import { refuseLeft } from '../../src/ansible/watch.js';
import { loadConfig } from '../../src/config.js';
import type { Outcome } from '../../src/job/outcome.js';
import type { AttemptRef, PlaceRequest, RunHeartbeat } from '../../src/job/protocol.js';
import { JobSpec } from '../../src/job/spec.js';
import { Durations } from '../../src/node/durations.js';
import { Slots } from '../../src/node/slots.js';
import { TargetLedger } from '../../src/targets/ledger.js';
import { RunFolders } from '../../src/store/run-folders.js';

/** What it takes to work on one attempt; plain data, so that a driver process can be given it. */
export interface Job {
  dataDir: string;
  env: Record<string, string>;
  request: PlaceRequest;
  killGraceMs: number;
}

/** The real attempt library and activities of one node on a data folder, without Temporal. */
export interface Bench {
  context: NodeContext;
  attempts: Attempts;
  slots: Slots;
}

const nodeId = 'bench';
const here = import.meta.dirname;

/** Opens the node of a job. `run` and `place` never use the Temporal client, which is all that is left out. */
export async function openBench(job: Job): Promise<Bench> {
  const { root, python } = loadConfig({});
  const attempts = createAttempts({
    root,
    python,
    playbooksDir: path.join(here, 'playbooks'),
    inventoriesDir: path.join(job.dataDir, 'inventories'),
    env: job.env,
    runsDir: path.join(job.dataDir, 'runs'),
    killGraceMs: job.killGraceMs,
  });
  const slots = new Slots(path.join(job.dataDir, 'slots'), 2);
  await slots.open();
  const context: Omit<NodeContext, 'client'> = {
    nodeId,
    attempts,
    slots,
    folders: new RunFolders(path.join(job.dataDir, 'runs')),
    ledger: new TargetLedger(path.join(job.dataDir, 'targets')),
    log: pino({ level: 'silent' }),
    heartbeatTimeoutMs: 60_000,
    retryIntervalMs: 100,
    confirmIntervalMs: 200,
    killGraceMs: job.killGraceMs,
    durations: new Durations(path.join(job.dataDir, 'durations')),
    requireSpace: () => Promise.resolve(),
  };
  return { context: context as NodeContext, attempts, slots };
}

/** Places the attempt as Temporal would have it done, and tells what `run` is then given. */
export async function placed({ context }: Bench, { request }: Job): Promise<AttemptRef> {
  const placement = await place(context, request, request.run_id);
  if ('lost' in placement) throw new Error(placement.lost);
  const { workflow_id, run_id } = request;
  const { spec } = request.input;
  return { ...placement, workflow_id, run_id, timeout: 'timeout' in spec ? (spec.timeout ?? null) : null };
}

/** One attempt in a temporary folder, and all that a test wants to see or do about it. */
export class AttemptBench implements Bench {
  readonly heartbeats: RunHeartbeat[] = [];
  /** Aborts the watching, as a worker's shutdown does. */
  readonly shutdown = new AbortController();

  private constructor(
    readonly job: Job,
    readonly context: NodeContext,
    readonly attempts: Attempts,
    readonly slots: Slots,
  ) {}

  static async open(
    spec: Partial<JobSpec> & { playbook: string },
    given: { dataDir?: string; env?: Record<string, string>; killGraceMs?: number; gated?: boolean } = {},
  ) {
    const dataDir = given.dataDir ?? (await mkdtemp(path.join(os.tmpdir(), 'longhaul-attempt-')));
    await mkdir(path.join(dataDir, 'home'), { recursive: true });
    const gate = given.gated && { gate: path.join(dataDir, 'gate') };
    const extra_vars = { ledger: path.join(dataDir, 'ledger'), ...gate, ...spec.extra_vars };
    const full = JobSpec.parse({ ...spec, extra_vars });
    const job: Job = {
      dataDir,
      env: { PATH: playbookPath(), HOME: path.join(dataDir, 'home'), LANG: 'C.UTF-8', TMPDIR: dataDir, ...given.env },
      request: {
        workflow_id: 'default/test/attempt',
        run_id: randomBytes(8).toString('hex'),
        attempt: 1,
        input: { tenant: 'default', playbook_name: 'test', name: 'attempt', spec: full },
      },
      killGraceMs: given.killGraceMs ?? 500,
    };
    const { context, attempts, slots } = await openBench(job);
    return new AttemptBench(job, context, attempts, slots);
  }

  get key(): AttemptKey {
    return keyOf(this.job.request);
  }

  get folder(): string {
    return this.attempts.folderOf(this.key);
  }

  place(): Promise<AttemptRef> {
    return placed(this, this.job);
  }

  run(ref: AttemptRef): Promise<Outcome> {
    const { signal } = this.shutdown;
    return run(this.context, ref, { tell: (details) => this.heartbeats.push(details), signal });
  }

  async cancel(reason = 'asked to'): Promise<void> {
    refuseLeft(await this.attempts.end(this.key, 'cancel', reason));
  }

  /** The lines that tasks wrote. */
  async ledger(): Promise<string[]> {
    return (await textOf(path.join(this.job.dataDir, 'ledger'))).split('\n').filter((line) => line !== '');
  }

  async ledgerHas(line: string): Promise<void> {
    await until(`"${line}" in the ledger`, async () => (await this.ledger()).includes(line));
  }

  /** Lets ledger.yml end, which as `gated` waits for this in its last task. */
  openGate(): Promise<void> {
    return writeFile(path.join(this.job.dataDir, 'gate'), '');
  }

  stdout(): Promise<string> {
    return textOf(path.join(this.folder, 'stdout.log'));
  }

  /** The process that a claim names. */
  async claimant(which: 'supervisor' | 'ansible', claim = 1): Promise<number> {
    let pid = 0;
    await until(`claim ${claim}`, async () => {
      const text = await textOf(path.join(this.folder, `claim.${claim}`));
      if (text !== '') pid = (JSON.parse(text) as Partial<Record<string, { pid: number }>>)[which]?.pid ?? 0;
      return pid !== 0;
    });
    return pid;
  }

  /** Forges a claim: these processes, seen from this boot and pid namespace unless it says otherwise. */
  async claimFor(names: Record<'supervisor' | 'ansible', Partial<ProcessIdentity>>, number = 1): Promise<void> {
    const self = identityOf(process.pid);
    const [supervisor, ansible] = [names.supervisor, names.ansible].map((name) => ({ ...self, ...name }));
    await rm(path.join(this.folder, 'token'), { force: true });
    await writeFile(
      path.join(this.folder, `claim.${number}`),
      JSON.stringify({ void: false, at: 1, supervisor, ansible }),
    );
  }

  /** Pids that carry the attempt's marker, found without the library under test. */
  members(): number[] {
    return pidsWith(markerOf(this.key));
  }

  /** After a natural end the supervisor may still be on its way out. */
  allGone(): Promise<void> {
    return until('the end of all processes', () => this.members().length === 0);
  }

  isFree(): Promise<boolean> {
    const holder = holderOf(nodeId, this.job.request);
    return this.slots.taken().then((taken) => taken.every((slot) => slot.holder?.run_id !== holder.run_id));
  }

  /** All files of the attempt, for the message of a failure. */
  async contents(): Promise<string> {
    const names = await readdir(this.folder).catch(() => []);
    const texts = await Promise.all(
      names
        .filter((name) => !name.startsWith('.spare'))
        .map(async (name) => `--- ${name}\n${await textOf(path.join(this.folder, name))}`),
    );
    return [`ledger: ${(await this.ledger()).join(' ')}`, ...texts].join('\n').slice(0, 20_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.shutdown.abort();
    this.slots.close();
    const left = (): number[] => [...this.members(), ...pidsNaming(this.job.dataDir)];
    await until('no process of the attempt', () => {
      for (const pid of left()) kill(pid, 'SIGKILL');
      return left().length === 0;
    });
    await rm(this.job.dataDir, { recursive: true, force: true });
  }
}

/** Waits for something that other processes bring about; the limit only ends a test that hangs. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const giveUp = Date.now() + 100_000;
  for (;;) {
    const asked = Date.now();
    if (await holds()) return;
    if (Date.now() > giveUp) throw new Error(`waited in vain for ${what}`);
    // A busy machine is not kept busy by questions.
    await delay(Math.min(250, Math.max(20, 4 * (Date.now() - asked))));
  }
}

/** Signals a process; whether it was there. */
export function kill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** Whether a process is there and not a zombie. */
export function isAlive(pid: number): boolean {
  const stat = procFile(pid, 'stat');
  return stat !== '' && !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
}

/** Living processes with this entry in their environment. */
function pidsWith(entry: string): number[] {
  return allPids().filter((pid) => procFile(pid, 'environ').split('\0').includes(entry) && isAlive(pid));
}

/** Living processes with this folder in their command line: drivers, and whatever traces them. */
function pidsNaming(folder: string): number[] {
  return allPids().filter((pid) => procFile(pid, 'cmdline').includes(folder) && isAlive(pid));
}

function allPids(): number[] {
  const names = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return names.map(Number);
}

function procFile(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1');
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}

/** The text of a file; empty if there is none or it is no file. */
export async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}

function playbookPath(): string {
  return `${path.dirname(loadConfig({}).python)}:/usr/local/bin:/usr/bin:/bin`;
}
