import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadConfig } from '../../src/config.js';
import { carrying, signal, until } from '../service/processes.js';
import type { Targets } from '../targets/sshd.js';
import type { Backend } from './backends.js';

const { root, python } = loadConfig({});
export const scenarios = path.join(root, 'playbooks', 'scenarios');

export interface Run {
  code: number | null;
  output: string;
  /** What each host said with its last debug message. */
  said: Record<string, string>;
}

/** Somebody who runs playbooks: with a HOME and a folder of their own, by the plain ansible-playbook. */
export class Operator {
  readonly folder: string;
  private readonly id = randomBytes(8).toString('hex');

  constructor(
    name: string,
    private readonly targets: Targets,
    private readonly backend: Backend,
  ) {
    this.folder = path.join(targets.folder, 'operators', name, 'work');
    mkdirSync(this.folder, { recursive: true });
  }

  get env(): Record<string, string> {
    return {
      ...this.targets.env,
      ...this.backend.env,
      HOME: path.dirname(this.folder),
      OPERATOR: this.id,
      ANSIBLE_FORKS: '10',
      ANSIBLE_PIPELINING: 'True',
      ANSIBLE_COLLECTIONS_PATH: root,
      ANSIBLE_DEPRECATION_WARNINGS: 'False',
      ANSIBLE_CALLBACK_PLUGINS: path.join(import.meta.dirname, 'callback'),
      ANSIBLE_CALLBACKS_ENABLED: 'signal_at',
    };
  }

  /** Runs a playbook to its end. */
  play(
    playbook: string,
    variables: Record<string, unknown> = {},
    env: Record<string, string> = {},
    ...options: string[]
  ): Promise<Run> {
    return this.start(playbook, variables, env, ...options).ended;
  }

  /** Begins to run a playbook: a scenario's name, or a path. */
  start(
    playbook: string,
    variables: Record<string, unknown> = {},
    env: Record<string, string> = {},
    ...options: string[]
  ): { process: ChildProcess; ended: Promise<Run> } {
    const extra = JSON.stringify({ ...this.backend.variables, ...variables });
    const file = path.resolve(scenarios, playbook);
    const inventories = [this.targets.inventory, hostVariables(this.targets)].flatMap((one) => ['-i', one]);
    const args = [...inventories, ...options, '-e', extra, file];
    const child = spawn(path.join(path.dirname(python), 'ansible-playbook'), args, {
      cwd: this.folder,
      env: { ...this.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => (output += part.toString()));
    const ended = new Promise<Run>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, output, said: saidIn(output) }));
    });
    return { process: child, ended };
  }

  /** kill -9 of everything that this operator runs on the controller; what was started on hosts lives on. */
  async crash(): Promise<void> {
    await until('the end of what the operator ran', () => {
      const left = carrying(`OPERATOR=${this.id}`).filter(({ command }) => command.includes('ansible-playbook'));
      for (const { pid } of left) signal(pid, 'SIGKILL');
      return left.length === 0;
    });
  }
}

/** A command for each host, which leaves a line in the host's ledger, and ends when it is told to, with the rc that it is told. */
export class Work {
  constructor(private readonly targets: Targets) {}

  static readonly command = `sh -c 'echo ran >> {{ data }}/ledger; echo $$ > {{ data }}/pid; until [ -s {{ data }}/gate ]; do sleep 0.1; done; exit $(cat {{ data }}/gate)'`;

  /** Lets it end with this rc, and waits until it has. */
  async end(rc: number, ...hosts: string[]): Promise<void> {
    for (const host of hosts) writeFileSync(this.file(host, 'gate'), `${rc}\n`);
    for (const host of hosts) await this.gone(host);
  }

  async kill(host: string, name: NodeJS.Signals): Promise<void> {
    signal(await this.pidOn(host), name);
    await this.gone(host);
  }

  /** kill -9 of all of it, and of those that would tell of it. */
  async destroy(host: string): Promise<void> {
    await this.pidOn(host);
    const all = carrying(`ANSIBLE_ASYNC_DIR=${this.file(host, 'async')}`);
    for (const { pid } of all) signal(pid, 'SIGSTOP');
    for (const { pid } of all) signal(pid, 'SIGKILL');
    await until('their end', () => carrying(`ANSIBLE_ASYNC_DIR=${this.file(host, 'async')}`).length === 0);
  }

  /** How often it was begun there. */
  begun(host: string): number {
    return this.read(host, 'ledger').split('\n').length - 1;
  }

  /** Waits until Ansible's wrapper has written the results of the jobs there. */
  private async gone(host: string): Promise<void> {
    const folder = this.file(host, 'async');
    const isFinal = (file: string) =>
      !('started' in (JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as object));
    await until(
      `the end of the work on ${host}`,
      () => {
        const all = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];
        const jobs = all.filter((file) => /^j\d+\.\d+$/.test(path.basename(file)));
        return jobs.length > 0 && jobs.every(isFinal);
      },
      300,
    );
  }

  private async pidOn(host: string): Promise<number> {
    return Number(await until(`the work on ${host}`, () => this.read(host, 'pid').trim() || false));
  }

  private read(host: string, name: string): string {
    return existsSync(this.file(host, name)) ? readFileSync(this.file(host, name), 'utf8') : '';
  }

  private file(host: string, name: string): string {
    return path.join(this.targets.dataOf(host), name);
  }
}

/** What every host of these tests has besides its address. */
function hostVariables(targets: Targets): string {
  const file = path.join(targets.folder, 'hosts.json');
  const vars = { ansible_async_dir: '{{ data }}/async', cli_command: Work.command };
  writeFileSync(file, JSON.stringify({ all: { vars } }));
  return file;
}

function saidIn(output: string): Record<string, string> {
  const found = [...output.matchAll(/^ok: \[([^\]]+)\] => \{\s+"msg": "(.*)"$/gm)];
  return Object.fromEntries(found.map(([, host, message]) => [host, message]));
}
