import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { identityOf, type ProcessIdentity } from '../ansible/identity.js';
import type { Config } from '../config.js';
import { makeFolder } from '../disk/durable.js';
import { dataFolderOf, openDataFolder, requireSpace } from '../node/data-folder.js';
import { nodeIdOf } from '../node/identity.js';
import { Slots } from '../node/slots.js';
import { requireTokens } from '../tokens/start.js';
import { Child } from './child.js';
import { guarded } from './guard.js';
import { holdDataFolder } from './hold.js';
import { LogFile } from './log-file.js';
import { answers, apiIsLive, requireFreePorts } from './ports.js';
import { ServiceRecord } from './record.js';
import { StartError } from './start-error.js';
import { requireProject, warningsAbout } from './project.js';
import { openDatabaseFolder } from './database.js';
import { findTemporal, setRetention, temporalServer } from './temporal.js';

const graceMs = 10_000;
const lookEveryMs = 50;
const patienceMs = 30_000;
const rotateEveryMs = 1_000;

/** What the worker writes to its log when it takes work. */
const workerReady = 'worker ready';

const titles = { temporal: 'Temporal', worker: 'The worker', api: 'The API' } as const;

/**
 * Keep the API's memory flat however much it streams: pieces that were sent are collected while they are few, and the
 * space that they took goes back to the system. Not for the worker, whose environment playbooks get.
 */
const frugal = {
  variables: ['MALLOC_TRIM_THRESHOLD_=131072', 'MALLOC_ARENA_MAX=2'],
  options: ['--max-semi-space-size=1'],
};

/** The running service: Temporal (if it is embedded), the worker and the API, each a process of its own. */
export class Service {
  readonly #config: Config;
  readonly #say: (line: string) => void;
  readonly #record: ServiceRecord;
  readonly #children: Child[] = [];
  readonly #ending = new AbortController();
  readonly #hurry = new AbortController();
  #failure: string | undefined;
  #rotation: NodeJS.Timeout | undefined;

  /** @param say is given the lines for the person who started it */
  constructor(config: Config, say: (line: string) => void) {
    this.#config = config;
    this.#say = say;
    this.#record = new ServiceRecord(config.dataDir);
  }

  /**
   * Runs until it is asked to end or can't go on. Nothing that it started is left then, except playbooks.
   * @returns the exit code: 0 after requestEnd, 1 after a failure, which has been said
   * @throws StartError, TokensError when it could not begin; nothing was started then
   */
  async run(): Promise<number> {
    const { host, loopback, tokens } = this.#config;
    const warning = await requireTokens({ host, loopback, ...tokens });
    if (warning !== undefined) this.#say(warning);
    await this.#takeDataFolder();
    const binary = this.#config.temporal.embedded ? findTemporal(this.#config) : undefined;
    this.#rotation = setInterval(() => this.#rotateLogs(), rotateEveryMs);
    try {
      await this.#start(binary);
      this.#sayReady();
      await this.#untilEnding();
    } catch (error) {
      if (!this.#ending.signal.aborted) throw error;
    } finally {
      await this.#stop();
      clearInterval(this.#rotation);
    }
    if (this.#failure !== undefined) this.#say(this.#failure);
    await this.#sayWhatGoesOn();
    return this.#failure === undefined ? 0 : 1;
  }

  /** Ends everything; when asked again, at once. */
  requestEnd(): void {
    if (this.#ending.signal.aborted) {
      this.#hurry.abort();
      return;
    }
    this.#say('Ending');
    this.#ending.abort();
  }

  #fail(message: string): void {
    this.#failure ??= message;
    this.#ending.abort();
  }

  async #takeDataFolder(): Promise<void> {
    const { dataDir, host, port, minFreeBytes, temporal } = this.#config;
    requireProject(this.#config);
    await makeDataFolder(dataDir);
    await holdDataFolder(this.#config, this.#record, () => {
      this.#fail(`The lock on ${dataDir} is lost, because the process that held it was ended. Run npm start again.`);
    });
    const { runs } = await openDataFolder(dataDir);
    for (const part of [dataDir, runs]) await requireSpace(part, minFreeBytes);
    const left = await this.#record.endLeftovers(graceMs);
    if (left.length > 0) this.#say(`Ended what an earlier start had left: ${left.join(', ')}`);

    const embedded = [
      { host: '127.0.0.1', port: temporal.port, variable: 'TEMPORAL_PORT' },
      { host: '127.0.0.1', port: temporal.uiPort, variable: 'TEMPORAL_UI_PORT' },
    ];
    await requireFreePorts([{ host, port, variable: 'PORT' }, ...(temporal.embedded ? embedded : [])]);
  }

  async #start(temporalBinary: string | undefined): Promise<void> {
    const temporal = temporalBinary === undefined ? undefined : await this.#startTemporal(temporalBinary);
    const worker = this.#startChild('worker', this.#node('dist/worker.js'), 'worker.lock');
    const api = this.#startChild('api', [
      'env',
      ...frugal.variables,
      ...this.#node('dist/src/api/server.js', frugal.options),
    ]);
    await Promise.all([
      temporal && this.#until(temporal.child, () => setRetention(this.#config, temporal.binary)),
      this.#until(worker, () => worker.log.latest().includes(workerReady)),
      this.#until(api, () => apiIsLive(this.#config)),
    ]);
  }

  async #startTemporal(binary: string): Promise<{ child: Child; binary: string }> {
    const { dataDir, nodeId } = this.#config;
    const { folder, warning } = await openDatabaseFolder(dataDir, nodeIdOf(dataDir, nodeId));
    if (warning !== undefined) this.#say(warning);
    const child = this.#startChild('temporal', temporalServer(this.#config, binary, folder), 'temporal.lock');
    await this.#until(child, () => answers('127.0.0.1', this.#config.temporal.port));
    return { child, binary };
  }

  #node(script: string, options: readonly string[] = []): string[] {
    return [process.execPath, '--enable-source-maps', ...options, join(this.#config.root, script)];
  }

  /** @param lock a file in the data folder that lets one process of this kind live at a time */
  #startChild(name: keyof typeof titles, program: readonly string[], lock?: string): Child {
    const { dataDir, root, logMaxBytes } = this.#config;
    const held = lock === undefined ? undefined : { file: join(dataDir, lock), waitMs: graceMs };
    const child = new Child(name, {
      title: titles[name],
      argv: guarded(this.#config, program, held),
      cwd: root,
      log: new LogFile(join(dataDir, 'logs', `${name}.log`), logMaxBytes),
      events: {
        started: () => this.#recordProcesses(),
        died: (message) => this.#say(message),
        failed: (message) => this.#fail(message),
      },
    });
    this.#children.push(child);
    child.start();
    return child;
  }

  #rotateLogs(): void {
    try {
      for (const { identity, log } of this.#children) if (identity !== undefined) log.rotate(identity);
    } catch (error) {
      clearInterval(this.#rotation);
      this.#say(`Logs grow without limit until the next start: ${(error as Error).message}`);
    }
  }

  #recordProcesses(): void {
    const living = this.#children.flatMap(({ name, identity }) =>
      identity === undefined ? [] : [[name, identity] as const],
    );
    this.#record.write({ parent: ownIdentity(), children: Object.fromEntries(living) });
  }

  /** Waits until `check` holds; while it doesn't for long, says whose log may tell why. Rejects when the service is to end. */
  async #until(child: Child, check: () => boolean | Promise<boolean>): Promise<void> {
    let patience = performance.now() + patienceMs;
    while (!(await check())) {
      await sleep(lookEveryMs, undefined, { signal: this.#ending.signal });
      if (performance.now() < patience) continue;
      patience += patienceMs;
      this.#say(`${child.title} is not ready yet. Its log: ${child.log.path}`);
    }
  }

  async #untilEnding(): Promise<void> {
    const { signal } = this.#ending;
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
  }

  /** Ends the children in the reverse of the order in which they need each other. */
  async #stop(): Promise<void> {
    this.#ending.abort();
    for (const child of this.#children) child.rest();
    for (const child of [...this.#children].reverse()) await child.stop(graceMs, this.#hurry.signal);
  }

  #sayReady(): void {
    const { host, port, dataDir, temporal } = this.#config;
    const api = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
    this.#say('Longhaul is ready');
    this.#say(`  API          ${api}`);
    this.#say(`  API docs     ${api}/docs`);
    if (temporal.embedded) this.#say(`  Temporal UI  http://127.0.0.1:${temporal.uiPort}`);
    else this.#say(`  Temporal     ${temporal.address}`);
    this.#say(`  Data, logs   ${dataDir}`);
    for (const warning of warningsAbout(this.#config)) this.#say(warning);
  }

  async #sayWhatGoesOn(): Promise<void> {
    const { dataDir, maxConcurrentPlaybooks } = this.#config;
    const slots = await new Slots(dataFolderOf(dataDir).slots, maxConcurrentPlaybooks).taken();
    const count = slots.length;
    const playbooks = count === 1 ? 'One playbook goes on running' : `${count} playbooks go on running`;
    this.#say(
      count === 0 ? 'Ended. No playbook is running.' : `Ended. ${playbooks}; npm start finds what is running again.`,
    );
  }
}

async function makeDataFolder(folder: string): Promise<void> {
  try {
    await makeFolder(join(folder, 'logs'));
  } catch (error) {
    throw new StartError(
      `The data folder ${folder} can't be made: ${(error as Error).message}. Mend that, or set DATA_DIR.`,
      {
        cause: error,
      },
    );
  }
}

function ownIdentity(): ProcessIdentity {
  const identity = identityOf(process.pid);
  if (identity === undefined)
    throw new Error('/proc does not show this process. Longhaul needs Linux with /proc mounted.');
  return identity;
}
