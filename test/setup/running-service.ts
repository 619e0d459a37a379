import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { packageRoot } from '../../src/config.js';
import { freePorts } from '../ports.js';
import { temporaryFolder } from './checkout.js';

/** A service under test: its process, what it has said, and how it ended. */
export class RunningService {
  output = '';
  readonly ended: Promise<number | NodeJS.Signals | null>;

  constructor(
    readonly process: ChildProcess,
    readonly dataDir: string,
  ) {
    for (const stream of [process.stdout, process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }
    this.ended = new Promise((resolve) => process.once('close', (code, signal) => resolve(code ?? signal)));
  }

  /** Waits until it has said `text`. */
  async says(text: string): Promise<void> {
    await eventually(() => this.output.includes(text) || this.process.exitCode !== null, `the service says "${text}"`);
    if (!this.output.includes(text)) throw new Error(`It ended without saying "${text}":\n${this.output}`);
  }

  /** The processes that run on its data folder, by their command lines, without those of npm and the parent. */
  children(): { pid: number; command: string }[] {
    return processesOn(this.dataDir).filter(({ command }) => /temporal server|worker\.|api\/server\./.test(command));
  }
}

/** Starts the service as `npm start` does, on free ports. All that runs on its data folder is ended with the test. */
export async function startService(
  env: NodeJS.ProcessEnv = {},
  command: string[] = [process.execPath, 'setup/main.mjs', 'start'],
): Promise<RunningService> {
  const dataDir = env.DATA_DIR ?? join(temporaryFolder(), 'data');
  const [port, temporalPort, uiPort] = await freePorts(3);
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    cwd: packageRoot(),
    detached: true,
    env: {
      ...process.env,
      DATA_DIR: dataDir,
      PORT: `${port}`,
      TEMPORAL_PORT: `${temporalPort}`,
      TEMPORAL_UI_PORT: `${uiPort}`,
      ...env,
    },
  });
  onTestFinished(async () => {
    for (const { pid } of processesOn(dataDir)) killIfThere(pid);
    await eventually(() => processesOn(dataDir).length === 0, 'nothing runs on the data folder');
  });
  return new RunningService(child, dataDir);
}

/** Listens on a free port until the test ends. */
export async function listenSomewhere(): Promise<number> {
  const server = await listen();
  onTestFinished(() => void server.close());
  return portOf(server);
}

/** Waits for something that is going to happen; fails with `what` if it doesn't, in time for a hook to say so. */
export async function eventually(check: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 100_000;
  while (!check()) {
    if (performance.now() > deadline) throw new Error(`Not in time: ${what}`);
    await sleep(25);
  }
}

/** Every process that has this data folder in its environment. */
export function processesOn(dataDir: string): { pid: number; command: string }[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids
    .filter((pid) => read(`/proc/${pid}/environ`).split('\0').includes(`DATA_DIR=${dataDir}`))
    .map((pid) => ({ pid: Number(pid), command: read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ') }));
}

function listen(): Promise<Server> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not a TCP server');
  return address.port;
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** A file of /proc, empty if its process is gone or another user's. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}
