import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { packageRoot } from '../../src/config.js';
import { freePorts } from '../ports.js';
import { carrying, livingProcesses, signal, treeOf, until, type Process } from './processes.js';

/** Timers short enough for tests; what they mean is told in docs/configuration.md. */
const shortTimers = {
  HEARTBEAT_TIMEOUT: '8',
  RETRY_INTERVAL: '0.3',
  SWEEP_INTERVAL: '3',
  NODE_TIMEOUT: '6',
  NODE_LOST_AFTER: '4',
  KILL_GRACE: '1',
  CONFIRM_INTERVAL: '0.5',
  MIN_FREE_MB: '1',
};

export type Role = 'temporal' | 'worker' | 'api';
const commandOf: Record<Role, string> = { temporal: 'temporal server', worker: 'worker.', api: 'api/server.' };

export interface Answer {
  status: number;
  headers: Headers;
  body: any;
  text: string;
}

/** A whole service of its own: folders, ports and processes, started through the door that README names. */
export class Service {
  readonly folder: string;
  readonly dataDir: string;
  readonly playbooksDir: string;
  private parent: ChildProcess | undefined;
  private readonly closers: (() => Promise<unknown>)[] = [];
  output = '';

  private constructor(
    private readonly ports: { api: number; temporal: number; ui: number },
    private readonly extra: Record<string, string>,
    dataDir?: string,
  ) {
    this.folder = mkdtempSync(path.join(os.tmpdir(), 'longhaul-test-'));
    this.dataDir = dataDir ?? path.join(this.folder, 'data');
    this.playbooksDir = path.join(this.folder, 'playbooks');
    cpSync(path.join(packageRoot(), 'test', 'service', 'playbooks'), this.playbooksDir, { recursive: true });
    cpSync(path.join(packageRoot(), 'playbooks'), this.playbooksDir, { recursive: true });
    mkdirSync(path.join(this.folder, 'inventories'));
    mkdirSync(path.join(this.folder, 'tmp'));
  }

  /** Prepares a service without starting it. */
  static async prepare(env: Record<string, string> = {}, dataDir?: string): Promise<Service> {
    const [api, temporal, ui] = await freePorts(3);
    return new Service({ api: api!, temporal: temporal!, ui: ui! }, env, dataDir);
  }

  /** Starts a service and waits until it is ready. */
  static async start(env: Record<string, string> = {}, dataDir?: string): Promise<Service> {
    const service = await Service.prepare(env, dataDir);
    await service.start();
    return service;
  }

  get url(): string {
    return `http://127.0.0.1:${this.ports.api}`;
  }

  /** The Temporal that it uses: its own one, unless it was given another. */
  get temporalAddress(): string {
    return this.extra.TEMPORAL_ADDRESS ?? `127.0.0.1:${this.ports.temporal}`;
  }

  get environment(): Record<string, string> {
    return {
      ...(process.env as Record<string, string>),
      ...shortTimers,
      PORT: String(this.ports.api),
      TEMPORAL_PORT: String(this.ports.temporal),
      TEMPORAL_UI_PORT: String(this.ports.ui),
      DATA_DIR: this.dataDir,
      PLAYBOOKS_DIR: this.playbooksDir,
      INVENTORIES_DIR: path.join(this.folder, 'inventories'),
      // Killed Ansible modules leave their payloads there.
      TMPDIR: path.join(this.folder, 'tmp'),
      ...this.extra,
    };
  }

  /** Runs what `npm start` becomes when all is set up. It leads a session of its own, as a terminal would have it. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, ['dist/src/service/main.js'], {
      cwd: packageRoot(),
      env: this.environment,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.parent = child;
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (part: Buffer) => (this.output += part.toString()));
    await this.ready();
  }

  /** Waits until /readyz says so. */
  async ready(): Promise<void> {
    try {
      await until('the service to be ready', async () => {
        if (this.parent?.exitCode !== null) throw new Error(`npm start ended with ${this.parent?.exitCode}`);
        return (await this.get('/readyz').catch(() => undefined))?.status === 200;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.output.slice(-3000)}\n${this.logs()}`, { cause: error });
    }
  }

  /** Ctrl-C, and the end of everything that `npm start` began. Running playbooks go on. */
  async interrupt(): Promise<void> {
    const parent = this.parent;
    if (parent?.pid === undefined || !this.runs) return;
    process.kill(-parent.pid, 'SIGINT');
    await until('npm start to end', () => parent.exitCode !== null || parent.signalCode !== null);
  }

  /** The living processes of one role. */
  processesOf(role: Role): Process[] {
    return carrying(`DATA_DIR=${this.dataDir}`).filter(({ command }) => command.includes(commandOf[role]));
  }

  /** kill -9 of a role's processes, of `npm start`'s own one, or of it and all below it at once. */
  kill(what: Role | 'parent' | 'tree'): void {
    if (what === 'parent') return signal(this.parent!.pid!, 'SIGKILL');
    const victims = what === 'tree' ? treeOf(this.parent!.pid!) : this.processesOf(what);
    for (const { pid } of victims) signal(pid, 'SIGKILL');
  }

  /** Whether `npm start` still runs. */
  get runs(): boolean {
    return this.parent !== undefined && this.parent.exitCode === null && this.parent.signalCode === null;
  }

  /** Another API process on the same data folder, unless told otherwise; its address. */
  async secondApi(extra: Record<string, string> = {}): Promise<string> {
    const [port] = await freePorts(1);
    const env = { ...this.environment, ...extra, PORT: String(port), TEMPORAL_ADDRESS: this.temporalAddress };
    const child = spawn(process.execPath, ['dist/src/api/server.js'], { cwd: packageRoot(), env, stdio: 'ignore' });
    this.closers.push(async () => {
      child.kill('SIGKILL');
      await until('the second API to end', () => child.exitCode !== null || child.signalCode !== null);
    });
    const url = `http://127.0.0.1:${port}`;
    await until('the second API', async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200);
    return url;
  }

  async temporal(): Promise<Client> {
    const connection = await Connection.connect({ address: this.temporalAddress });
    this.closers.push(() => connection.close());
    return new Client({ connection });
  }

  get = (address: string): Promise<Answer> => this.call('GET', address);
  post = (address: string, body?: unknown, headers?: Record<string, string>): Promise<Answer> =>
    this.call('POST', address, body, headers);
  delete = (address: string): Promise<Answer> => this.call('DELETE', address);

  /** One request; `address` is a path, or a whole URL. */
  async call(method: string, address: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const url = address.startsWith('http') ? address : `${this.url}${address}`;
    const init: RequestInit = {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    };
    if (body !== undefined) init.body = typeof body === 'string' ? body : JSON.stringify(body);
    const answer = await fetch(url, init);
    const text = await answer.text();
    const isJson = answer.headers.get('content-type')?.includes('json') === true;
    return { status: answer.status, headers: answer.headers, body: isJson ? JSON.parse(text) : undefined, text };
  }

  /** The body of an answer, once there is one: a service may be too busy for it. */
  async told(address: string): Promise<Answer['body']> {
    return until(`an answer to ${address}`, async () => {
      const { status, body } = await this.get(address);
      return status === 200 && body;
    });
  }

  /** Submits a job that must be accepted; its document of acceptance. */
  async submit(spec: object): Promise<Answer['body']> {
    const answer = await this.post('/api/v1/jobs', spec);
    if (answer.status !== 202) throw new Error(`not accepted: ${answer.status} ${answer.text}`);
    return answer.body;
  }

  async job(jobId: string): Promise<Answer['body']> {
    return (await this.get(`/api/v1/jobs/${encodeURIComponent(jobId)}`)).body;
  }

  /** The document of a job once it has ended, through whatever outages. */
  async ended(jobId: string, seconds = 120): Promise<Answer['body']> {
    let last: unknown;
    try {
      return await until(
        `the end of ${jobId}`,
        async () => {
          const answer = await this.get(`/api/v1/jobs/${encodeURIComponent(jobId)}?wait=5`).catch(() => undefined);
          last = answer?.body ?? last;
          return (
            answer?.status === 200 && ['successful', 'failed', 'canceled'].includes(answer.body.status) && answer.body
          );
        },
        seconds,
      );
    } catch (error) {
      throw new Error(
        `${(error as Error).message}: ${JSON.stringify(last)}\n${this.output.slice(-2000)}\n${this.logs()}`,
        { cause: error },
      );
    }
  }

  /** The document once it has this status. */
  async reaches(jobId: string, status: string, seconds = 60): Promise<Answer['body']> {
    let last: Answer['body'];
    try {
      return await until(
        `${jobId} to be ${status}`,
        async () => (last = await this.job(jobId).catch(() => undefined))?.status === status && last,
        seconds,
      );
    } catch (error) {
      throw new Error(`${(error as Error).message}: ${JSON.stringify(last)}\n${this.logs()}`, { cause: error });
    }
  }

  /** The folder of a run's attempt. */
  attemptFolder({ job_id, run_id }: { job_id: string; run_id: string }, attempt = 1): string {
    const [playbookName, name] = job_id.split(':') as [string, string];
    return path.join(this.dataDir, 'runs', 'default', playbookName, name, run_id, String(attempt));
  }

  /** What an attempt's claim says of its processes. */
  pidsOf(job: { job_id: string; run_id: string }, attempt = 1): { supervisor: number; ansible: number } {
    const claim = JSON.parse(readFileSync(path.join(this.attemptFolder(job, attempt), 'claim.1'), 'utf8'));
    return { supervisor: claim.supervisor.pid, ansible: claim.ansible.pid };
  }

  /** Living processes of a run's attempt. */
  alive({ run_id }: { run_id: string }, attempt = 1): Process[] {
    return carrying(`LONGHAUL_ATTEMPT=${run_id}/${attempt}`);
  }

  /** A job that waits until `<name>.gate` is there (see `file`), and traces what it does into `<name>`. */
  gated(name: string, more: object = {}): object {
    const trace = path.join(this.folder, name);
    return { playbook: 'gate.yml', name, extra_vars: { trace, gate: `${trace}.gate` }, ...more };
  }

  /** The lines of a trace. */
  lines(name: string): string[] {
    return readFileSync(path.join(this.folder, name), 'utf8').trim().split('\n');
  }

  /** Writes a file into this service's own folder; its path. */
  file(name: string, content: string): string {
    const file = path.join(this.folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  }

  /** The end of each log. */
  logs(): string {
    return ['worker', 'api', 'temporal']
      .map((name) => path.join(this.dataDir, 'logs', `${name}.log`))
      .filter((file) => existsSync(file))
      .map((file) => `--- ${file}\n${readFileSync(file, 'utf8').slice(-3000)}`)
      .join('\n');
  }

  /** Ends everything that this service or its jobs started, and removes its folders. */
  async destroy(): Promise<void> {
    for (const close of this.closers) await close();
    await this.interrupt();
    const ours = (): Process[] =>
      livingProcesses().filter(
        ({ pid, environment, command }) =>
          pid !== process.pid &&
          (environment.includes(`DATA_DIR=${this.dataDir}`) ||
            environment.includes(`PLAYBOOKS_DIR=${this.playbooksDir}`) ||
            environment.includes(`TMPDIR=${this.folder}/tmp`) ||
            command.includes(this.folder)),
      );
    const left = ours().filter(({ command }) => Object.values(commandOf).some((part) => command.includes(part)));
    await until('nothing of the service to be left', () => {
      for (const { pid } of ours()) signal(pid, 'SIGKILL');
      return ours().length === 0;
    });
    rmSync(this.folder, { recursive: true, force: true });
    if (left.length > 0)
      throw new Error(`npm start left processes behind: ${JSON.stringify(left.map(({ command }) => command))}`);
  }
}
