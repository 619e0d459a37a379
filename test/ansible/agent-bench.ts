import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { AnsibleAgent, type AgentOptions } from '../../src/ansible/agent/agent.js';
import type { Task, TaskResult } from '../../src/ansible/agent/protocol.js';
import { loadConfig } from '../../src/config.js';
import { carrying, livingProcesses, signal, until, type Process } from '../service/processes.js';

const { root, python } = loadConfig({});

/** A real agent in a temporary playbooks folder, with hosts on this machine and, if given, the hosts of an inventory. */
export class AgentBench {
  readonly agent: AnsibleAgent;
  readonly log: string[] = [];
  /** A host that is this machine. */
  readonly here: string;

  private constructor(
    readonly folder: string,
    readonly options: AgentOptions,
  ) {
    this.agent = new AnsibleAgent(options);
    this.here = path.join(folder, 'here.ini');
  }

  static async open(given: Partial<AgentOptions> & { files?: Record<string, string> } = {}): Promise<AgentBench> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'lh-agent-'));
    const { files, ...options } = given;
    const bench: AgentBench = new AgentBench(folder, {
      root,
      python,
      playbooksDir: path.join(folder, 'playbooks'),
      env: { PATH: `${path.dirname(python)}:/usr/local/bin:/usr/bin:/bin`, HOME: folder, LANG: 'C.UTF-8' },
      id: `test-${randomBytes(8).toString('hex')}`,
      log: (line) => bench.log.push(line),
      ...options,
    });
    await bench.write({ 'here.ini': `here ansible_connection=local ansible_python_interpreter=${python}\n` });
    await mkdir(bench.options.playbooksDir);
    await bench.write(files ?? {});
    return bench;
  }

  /** Files of the bench's folder, which is Ansible's HOME and has the playbooks folder in it. */
  async write(files: Record<string, string | Buffer>): Promise<void> {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(path.dirname(this.path(name)), { recursive: true });
      await writeFile(this.path(name), content);
    }
  }

  path(name: string): string {
    return path.join(this.folder, name);
  }

  /** Runs tasks on a host, by default on this machine. */
  run(
    tasks: Task[],
    given: { inventory?: string; host?: string; extra_vars?: string; timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<TaskResult[]> {
    const { inventory = this.here, host = 'here', extra_vars = null, timeoutMs = 90_000, signal } = given;
    const options = signal === undefined ? { timeoutMs } : { timeoutMs, signal };
    return this.agent.call({ inventory, extra_vars, host, become: false, tasks }, options);
  }

  /** The agent's processes: itself, forks, and the workers that Ansible forks. */
  processes(): Process[] {
    return carrying(`LONGHAUL_AGENT=${this.options.id}`);
  }

  /** A call that lasts until something is done about it, and the processes that do its work. */
  async underWay(given: { timeoutMs?: number; signal?: AbortSignal } = {}) {
    const seconds = ownSeconds();
    const call = this.run([sleep(seconds)], given);
    // Whoever waits for it is told.
    call.catch(() => undefined);
    const sleeper = await until(`sleep ${seconds}`, () => sleepers(seconds)[0]?.pid);
    const [agent, fork, worker] = this.line(sleeper);
    return { call, seconds, sleeper, worker, fork, agent, isGone: () => sleepers(seconds).length === 0 };
  }

  /** From the agent to the worker that started a process. */
  private line(pid: number): [number, number, number] {
    const all = livingProcesses();
    const parentOf = (child: number): number => all.find((found) => found.pid === child)?.ppid ?? 0;
    const ours = new Set(this.processes().map((found) => found.pid));
    let worker = pid;
    while (worker !== 0 && !ours.has(worker)) worker = parentOf(worker);
    return [parentOf(parentOf(worker)), parentOf(worker), worker];
  }

  /** What is left of temporary folders. */
  async temporary(): Promise<string[]> {
    const folder = this.path('.ansible/tmp');
    return existsSync(folder) ? await readdir(folder) : [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent.stop();
    await until('no process of the agent', () => {
      for (const { pid } of this.processes()) signal(pid, 'SIGKILL');
      return this.processes().length === 0;
    });
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** A task that lasts. `seconds` tells it from those of other tests. */
export function sleep(seconds: number): Task {
  return { module: 'command', args: { argv: ['sleep', String(seconds)] } };
}

export function sleepers(seconds: number): Process[] {
  return livingProcesses().filter(({ command }) => command === `sleep ${seconds}`);
}

/** A number that no other test has for its `sleep`. */
export function ownSeconds(): number {
  return 100_000 + randomBytes(4).readUInt32LE() / 10;
}
