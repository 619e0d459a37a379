import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { loadConfig } from '../../src/config.js';
import { answers } from '../../src/service/ports.js';
import { findTemporal, temporalServer } from '../../src/service/temporal.js';
import { signal, until } from './processes.js';
import { freePorts } from '../ports.js';

/** A Temporal server that nobody but the test starts again when it is away. */
export class OwnTemporal {
  private readonly folder = mkdtempSync(path.join(os.tmpdir(), 'longhaul-temporal-'));
  private server: ChildProcess | undefined;

  private constructor(
    private readonly port: number,
    private readonly uiPort: number,
    private readonly options: readonly string[],
  ) {}

  /** @param options further ones of the server's command line */
  static async start(...options: string[]): Promise<OwnTemporal> {
    const [port, uiPort] = await freePorts(2);
    const temporal = new OwnTemporal(port!, uiPort!, options);
    await temporal.start();
    return temporal;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Starts it, on the database that it had. */
  async start(): Promise<void> {
    const config = loadConfig({
      PATH: process.env.PATH,
      TEMPORAL_PORT: String(this.port),
      TEMPORAL_UI_PORT: String(this.uiPort),
    });
    const [program = '', ...args] = temporalServer(config, findTemporal(config), this.folder);
    this.server = spawn(program, [...args, ...this.options], { stdio: 'ignore' });
    await until('Temporal to listen', () => answers('127.0.0.1', this.port));
  }

  /** kill -9. Resolves when it is gone. */
  async kill(): Promise<void> {
    const { server } = this;
    if (server === undefined) return;
    const gone = new Promise((resolve) => server.once('exit', resolve));
    if (server.exitCode !== null || server.signalCode !== null) return;
    server.kill('SIGKILL');
    await gone;
  }

  /** SIGSTOP: it listens, and does not answer. */
  freeze(): void {
    signal(this.server!.pid!, 'SIGSTOP');
  }

  thaw(): void {
    signal(this.server!.pid!, 'SIGCONT');
  }

  async destroy(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
