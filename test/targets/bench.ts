import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { loadConfig } from '../../src/config.js';
import { isAlive, textOf, until } from '../ansible/bench.js';
import { carrying, signal, type Process } from '../service/processes.js';
import { targetPython } from './sshd.js';

const { root } = loadConfig({});
/** What the wrapper knows a command by; it is not read. */
const command = '/some/AnsiballZ_longhaul_command.py';
const verbs = `
import json, sys
sys.path.insert(0, ${JSON.stringify(path.join(root, 'python'))})
from longhaul_attempt.target.verbs import VERBS
print(json.dumps(VERBS[sys.argv[1]](**json.load(sys.stdin))))
`;

export interface Work {
  argv?: string[];
  shell?: string;
  chdir?: string;
  timeout?: number;
  grace?: number;
  kept?: number;
}

export interface Task {
  id: string;
  dir: string;
  marker: string;
  token: string;
  /** What is run; null if Ansible brings a module. */
  work: Work | null;
}

/** What the wrapper answers Ansible. */
export interface Started {
  failed: boolean;
  msg?: string;
  ansible_job_id?: string;
  longhaul: { claim: string; cause?: string; reason?: string };
}

/**
 * A target's side of tasks, on this machine: prepared, looked at and ended as the node does for itself, and started by the
 * command line that Ansible executes. Everything that it starts is ended with it.
 */
export class TaskBench {
  readonly python = targetPython();
  private readonly mark = `LONGHAUL_TARGETS=${randomBytes(8).toString('hex')}`;

  private constructor(
    readonly folder: string,
    readonly base: string,
  ) {
    // Ansible brings module_utils in a zip file; to Python it is the same.
    const utils = path.join(folder, 'lib/ansible/module_utils');
    mkdirSync(utils, { recursive: true });
    symlinkSync(path.join(root, 'python/longhaul_attempt'), path.join(utils, 'longhaul_attempt'));
  }

  static async open(base?: string): Promise<TaskBench> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'lh-task-'));
    return new TaskBench(folder, base ?? path.join(folder, 'tasks'));
  }

  /** Where tasks of a test write what they did. */
  get ledgerFile(): string {
    return path.join(this.folder, 'ledger');
  }

  async ledger(): Promise<string[]> {
    return (await textOf(this.ledgerFile)).split('\n').filter((line) => line !== '');
  }

  async ledgerHas(line: string): Promise<void> {
    await until(`"${line}" in the ledger`, async () => (await this.ledger()).includes(line));
  }

  /** Shell code that puts a line into the ledger. */
  note(line: string): string {
    return `echo ${line} >> ${this.ledgerFile}`;
  }

  get goFile(): string {
    return path.join(this.folder, 'go');
  }

  /** Shell code that waits for letGo. */
  get untilLetGo(): string {
    return `until [ -e ${this.goFile} ]; do sleep 0.1; done`;
  }

  letGo(): void {
    writeFileSync(this.goFile, '');
  }

  async prepare(work: Work | null): Promise<Task> {
    const [task] = await this.prepareAll([work]);
    return task!;
  }

  async prepareAll(works: (Work | null)[]): Promise<Task[]> {
    const jobs = works.map((work) => this.job(work));
    const { jobs: prepared } = await this.call('longhaul_prepare', { jobs, base: this.base });
    return jobs.map(({ id, marker }, index) => {
      if (prepared[index].error !== undefined) throw new Error(prepared[index].error.msg);
      return { id, marker, dir: prepared[index].dir, token: prepared[index].token, work: works[index]! };
    });
  }

  /** A job as the node asks for it. */
  job(work: Work | null, runId = randomBytes(8).toString('hex')) {
    const id = createHash('sha256').update(`host ${runId} 1`).digest('hex').slice(0, 32);
    const none = { argv: null, shell: null, chdir: null, timeout: null, grace: 1, kept: 3600 };
    const key = {
      id,
      marker: `LONGHAUL_TASK=${id}`,
      token: randomBytes(8).toString('hex'),
      host: 'host',
      run_id: runId,
    };
    return { ...none, ...key, attempt: 1, ...work };
  }

  /** The command line by which Ansible starts the task, and its environment. */
  startLine(task: Task, argv = [command, '_']): { command: string[]; env: Record<string, string> } {
    const wrapper = path.join(root, 'python/target_modules/library/async_wrapper.py');
    return {
      command: [this.python, wrapper, `j${Math.floor(Math.random() * 1e12)}`, '3600', ...argv],
      env: { ...this.env, LONGHAUL_TASK: task.id, LONGHAUL_TOKEN: task.token, ANSIBLE_ASYNC_DIR: task.dir },
    };
  }

  get env(): Record<string, string> {
    const [name = '', value = ''] = this.mark.split('=');
    return { PATH: '/usr/local/bin:/usr/bin:/bin', PYTHONPATH: path.join(this.folder, 'lib'), [name]: value };
  }

  async start(task: Task, change: Record<string, string | undefined> = {}, argv?: string[]): Promise<Started> {
    const line = this.startLine(task, argv);
    return JSON.parse(await this.run(line.command, { ...line.env, ...change })) as Started;
  }

  /** Starts commands by one call, as the node does for a host. */
  async launch(tasks: Pick<Task, 'dir' | 'token'>[], before: string[] = []): Promise<Started[]> {
    const input = JSON.stringify({ jobs: tasks.map(({ dir, token }) => ({ dir, token })) });
    const line = [...before, ...verbLine(this, 'longhaul_launch')];
    return (JSON.parse(await this.run(line, this.env, input)) as { jobs: Started[] }).jobs;
  }

  async startNew(work: Work): Promise<Task> {
    const task = await this.prepare(work);
    const answer = await this.start(task);
    if (answer.failed) throw new Error(answer.msg);
    // That it was taken up is answered sooner.
    await until('its start', () =>
      ['command.json', 'result.json'].some((name) => existsSync(path.join(task.dir, name))),
    );
    return task;
  }

  /** A module in a folder such as Ansible makes. @param text its source */
  async startModule(text: string): Promise<Task> {
    const task = await this.prepare(null);
    const folder = path.join(this.folder, `ansible-tmp-${task.id}`);
    mkdirSync(folder);
    const module = path.join(folder, 'AnsiballZ_some_module.py');
    await writeFile(module, text, { mode: 0o700 });
    const answer = await this.start(task, {}, [module, '_']);
    if (answer.failed) throw new Error(answer.msg);
    return task;
  }

  /** What a program prints, whatever it exits with. */
  run(command: string[], env: Record<string, string | undefined>, input = ''): Promise<string> {
    return new Promise((resolve, reject) => {
      const [program = '', ...rest] = command;
      const child = spawn(program, rest, { env: env });
      let said = '';
      let complained = '';
      child.stdout.on('data', (part: Buffer) => (said += part.toString()));
      child.stderr.on('data', (part: Buffer) => (complained += part.toString()));
      child.once('error', reject);
      child.once('close', () => (said === '' ? reject(new Error(`it said nothing: ${complained}`)) : resolve(said)));
      child.stdin.on('error', () => undefined);
      child.stdin.end(input);
    });
  }

  async call(verb: string, args: unknown, before: string[] = []): Promise<any> {
    const line = [...before, ...verbLine(this, verb)];
    return JSON.parse(await this.run(line, { PATH: this.env.PATH }, JSON.stringify(args)));
  }

  async look(task: Task, asked: Record<string, unknown> = {}, before: string[] = []): Promise<any> {
    const jobs = [{ dir: task.dir, marker: task.marker, ...asked }];
    return (await this.call('longhaul_look', { jobs }, before)).jobs[0];
  }

  async looks(tasks: Task[]): Promise<any[]> {
    return (await this.call('longhaul_look', { jobs: tasks.map(({ dir, marker }) => ({ dir, marker })) })).jobs;
  }

  /** Waits for a state other than those of a task that is under way. */
  async ended(task: Task): Promise<any> {
    let seen: any;
    await until('the end of a task', async () => {
      seen = await this.look(task, { stdout: 0, stderr: 0 });
      return !['running', 'claimed', 'ready'].includes(seen.state);
    });
    return seen;
  }

  async end(task: Task, cause = 'cancel', grace = 1): Promise<any> {
    const jobs = [{ dir: task.dir, marker: task.marker, cause, reason: 'asked to', grace }];
    return (await this.call('longhaul_end', { jobs })).jobs[0];
  }

  async clean(task: Task, kept = 3600): Promise<any> {
    return (await this.call('longhaul_clean', { dirs: [task.dir], kept })).jobs[0];
  }

  /** What Ansible's own async_status would read. */
  native(task: Task, jobId: string): any {
    return JSON.parse(readFileSync(path.join(task.dir, jobId), 'utf8'));
  }

  record(task: Task, name: string): any {
    const file = path.join(task.dir, name);
    return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
  }

  async claimant(task: Task, which: 'supervisor' | 'ansible' | 'command'): Promise<number> {
    let pid = 0;
    await until(`the ${which}`, () => {
      pid = (which === 'command' ? this.record(task, 'command.json') : this.record(task, 'claim.1')?.[which])?.pid ?? 0;
      return pid !== 0;
    });
    return pid;
  }

  async kill(task: Task, ...which: Parameters<TaskBench['claimant']>[1][]): Promise<void> {
    const pids: number[] = [];
    for (const one of which) pids.push(await this.claimant(task, one));
    await kill(...pids);
  }

  members(task: Task): Process[] {
    return carrying(task.marker);
  }

  allGone(task: Task): Promise<void> {
    return until('the end of all its processes', () => this.members(task).length === 0);
  }

  async contents(task: Task): Promise<string> {
    const names = (await readdir(task.dir)).filter((name) => !name.startsWith('.spare'));
    const texts = await Promise.all(
      names.map(async (name) => `--- ${name}\n${await textOf(path.join(task.dir, name))}`),
    );
    return texts.join('\n').slice(0, 10_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await until('the end of all that a test started', () => {
      const left = carrying(this.mark);
      for (const { pid } of left) signal(pid, 'SIGKILL');
      return left.length === 0;
    });
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Kills processes, and waits until they are dead. */
export async function kill(...pids: number[]): Promise<void> {
  for (const pid of pids) signal(pid, 'SIGKILL');
  await until('their death', () => !pids.some(isAlive));
}

export const isRoot = process.getuid?.() === 0 || process.env.CI !== undefined;

/** Somebody whom /proc may hide others from, but who can read our programs wherever they are. */
const reads = ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search'];
export const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', ...reads];
/** Whether a program of ours can run as root whoever calls it, as sudo does. */
export function canSetUid(): boolean {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'lh-suid-'));
  try {
    const sudo = setUid(folder);
    return spawnSync(asNobody[0]!, [...asNobody.slice(1), sudo, '--reuid=0', '--clear-groups', 'true']).status === 0;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** setpriv for anybody; its path. */
export function setUid(folder: string): string {
  const sudo = path.join(folder, 'sudo');
  execFileSync('sh', ['-c', 'cp "$(command -v setpriv)" "$1" && chmod u+s "$1"', 'sh', sudo]);
  return sudo;
}

/** Begins a command line whose /proc hides what others run. */
export const hiding = ['unshare', '-m', 'sh', '-c', 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', 'sh'];

/** The command line that does what one of our modules does; its arguments are its input. */
export function verbLine({ python }: TaskBench, verb: string): string[] {
  return [python, '-c', verbs, verb];
}

export const run = promisify(execFile);
