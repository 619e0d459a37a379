import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Targets, type TargetsOptions } from '../targets/sshd.js';
import { loadConfig } from '../../src/config.js';
import { livingProcesses, signal, treeOf, until } from './processes.js';
import { Service, type Answer } from './service.js';

/** A whole service, and hosts for it: some behind sshd, and `here`, with `connection: local`. */
export class TargetService {
  private constructor(
    readonly service: Service,
    readonly targets: Targets,
  ) {}

  static async start(options: TargetsOptions, env: Record<string, string> = {}): Promise<TargetService> {
    const targets = await Targets.open(options);
    const started = new TargetService(await Service.prepare(env), targets);
    const { service } = started;
    copyFileSync(targets.inventory, path.join(service.folder, 'inventories', 'hosts.json'));
    try {
      await service.start();
    } catch (error) {
      await started.destroy();
      throw error;
    }
    return started;
  }

  /** What every task here is submitted with. */
  get spec(): object {
    return { inventory: 'hosts.json', async_dir: path.join(this.targets.folder, 'tasks') };
  }

  /** Submits a task that must be accepted. */
  submit(spec: object): Promise<Answer['body']> {
    return this.service.submit({ ...this.spec, ...spec });
  }

  /** The document of a job once it says that it runs on a host: what is heard of one comes up to a second later. */
  runsOn(jobId: string, host: string): Promise<Answer['body']> {
    return until(`${jobId} to run on ${host}`, async () => {
      const document = await this.service.job(jobId);
      return document.hosts?.[host]?.status === 'running' && document;
    });
  }

  /** Starts a command as anybody with Ansible may, in the background; its ansible_job_id. */
  startElsewhere(host: string, command: string): string {
    const { inventory, env, folder } = this.targets;
    const args = ['-i', inventory, host, '-m', 'ansible.builtin.shell', '-a', command, '-B', '3600', '-P', '0'];
    const dir = ['-e', `ansible_async_dir=${path.join(folder, 'elsewhere')}`];
    const ansible = path.join(path.dirname(loadConfig({}).python), 'ansible');
    const said = execFileSync(ansible, [...args, ...dir], { env, encoding: 'utf8' });
    return /"ansible_job_id": "([^"]+)"/.exec(said)![1]!;
  }

  /** Submits the watching of a job that was started elsewhere. */
  adopt(host: string, ansible_job_id: string, more: object): Promise<Answer['body']> {
    const async_dir = path.join(this.targets.folder, 'elsewhere');
    return this.service.submit({ adopt: { host, ansible_job_id, async_dir }, inventory: 'hosts.json', ...more });
  }

  /** kill -9 of all processes of a job that was started elsewhere, first those that would tell of it. */
  killElsewhere(ansibleJobId: string): void {
    const [name = ''] = ansibleJobId.split('.');
    const wrappers = livingProcesses().filter(({ command }) => command.includes(name));
    const all = wrappers.flatMap(({ pid }) => treeOf(pid));
    for (const { pid } of all) signal(pid, 'SIGSTOP');
    for (const { pid } of all) signal(pid, 'SIGKILL');
  }

  /** A command that leaves a trace of its begin and end, and waits in between until it is opened. */
  gated(name: string, work = 'true'): string {
    const trace = path.join(this.targets.folder, name);
    return `echo begin >> ${trace}; ${work}; until [ -e ${trace}.gate ]; do sleep 0.1; done; echo end >> ${trace}`;
  }

  /** A program that tells its pid (see `pidOf`) and sleeps. */
  sleeper(name: string): string {
    const file = path.join(this.targets.folder, `${name}.sh`);
    writeFileSync(file, `echo $$ > ${path.join(this.targets.folder, name)}.pid; exec sleep 600.${name.length}\n`);
    return `sh ${file}`;
  }

  /** The pid of a sleeper, once it sleeps. */
  async pidOf(name: string): Promise<number> {
    const file = path.join(this.targets.folder, `${name}.pid`);
    await until(`${name} to sleep`, () => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n'));
    return Number(readFileSync(file, 'utf8'));
  }

  isAlive(pid: number): boolean {
    return livingProcesses().some((process) => process.pid === pid);
  }

  open(name: string): void {
    writeFileSync(path.join(this.targets.folder, `${name}.gate`), '');
  }

  /** The lines of a trace; none if it has not begun. */
  lines(name: string): string[] {
    const trace = path.join(this.targets.folder, name);
    return existsSync(trace) ? readFileSync(trace, 'utf8').trim().split('\n') : [];
  }

  async destroy(): Promise<void> {
    try {
      await this.service.destroy();
    } finally {
      await this.targets[Symbol.asyncDispose]();
    }
  }
}
