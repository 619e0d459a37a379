import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { identityOf, type ProcessIdentity } from '../ansible/identity.js';
import { endProcess } from './end-process.js';
import { lockHeld } from './guard.js';
import type { LogFile } from './log-file.js';

/** Exit code of a child that can't work with what it was given (sysexits' EX_CONFIG): starting it again would change nothing. */
export const setupFailed = 78;

const restartAfterMs = [0, 500, 1000, 2000, 4000];
const tooManyDeaths = 5;
const deathWindowMs = 60_000;
const shownLines = 12;

/** What a child's owner wants to hear of. */
export interface ChildEvents {
  /** A new process runs. */
  started: () => void;
  /** It died and will be started again. */
  died: (message: string) => void;
  /** It won't be started again; the message has the end of its log. */
  failed: (message: string) => void;
}

/** How to run a child. */
export interface ChildPlan {
  /** As messages begin with it. */
  title: string;
  /** A command that ends with us (see guard.ts). */
  argv: readonly string[];
  cwd: string;
  log: LogFile;
  events: ChildEvents;
}

/** A process of the service that is started again when it dies, until it is stopped. */
export class Child {
  readonly name: string;
  readonly title: string;
  readonly log: LogFile;
  readonly #argv: readonly string[];
  readonly #cwd: string;
  readonly #events: ChildEvents;
  #identity: ProcessIdentity | undefined;
  #exit: Promise<unknown> | undefined;
  #restart: NodeJS.Timeout | undefined;
  #deaths: number[] = [];
  #resting = false;

  constructor(name: string, { title, argv, cwd, log, events }: ChildPlan) {
    this.name = name;
    this.title = title;
    this.log = log;
    this.#argv = argv;
    this.#cwd = cwd;
    this.#events = events;
  }

  /** The process that runs now, if one does. */
  get identity(): ProcessIdentity | undefined {
    return this.#identity;
  }

  /** Starts it in a session of its own: a Ctrl-C in the terminal is ours alone to handle. */
  start(): void {
    const output = this.log.open();
    const [program = '', ...args] = this.#argv;
    const child = spawn(program, args, { cwd: this.#cwd, detached: true, stdio: ['ignore', output, output] });
    closeSync(output);
    child.once('error', (error) => this.#events.failed(`${this.title} can't be started: ${error.message}`));
    this.#exit = new Promise((resolve) => child.once('exit', resolve).once('error', resolve));
    child.once('exit', (code: number | null, signal: NodeJS.Signals | null) => this.#exited(code, signal));
    if (child.pid === undefined) return;
    this.#identity = identityOf(child.pid);
    this.#events.started();
  }

  /** From now on it isn't started again. */
  rest(): void {
    this.#resting = true;
    clearTimeout(this.#restart);
  }

  /** Ends it for good: TERM, then KILL when `graceMs` have passed or `hurry` is aborted. Resolves when it is gone. */
  async stop(graceMs: number, hurry: AbortSignal): Promise<void> {
    this.rest();
    if (this.#identity === undefined) return;
    const exited = this.#exit;
    await endProcess(this.#identity, graceMs, hurry);
    await exited;
  }

  #exited(code: number | null, signal: NodeJS.Signals | null): void {
    this.#identity = undefined;
    if (this.#resting) return;
    const end = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
    if (code === lockHeld || code === setupFailed) {
      this.#events.failed(`${this.title} can't work here. ${this.#endOfLog()}`);
      return;
    }
    const now = performance.now();
    this.#deaths = [...this.#deaths.filter((death) => now - death < deathWindowMs), now];
    if (this.#deaths.length >= tooManyDeaths) {
      const often = `for the ${tooManyDeaths}th time within a minute, and is not started again`;
      this.#events.failed(`${this.title} ${end}, ${often}. ${this.#endOfLog()}`);
      return;
    }
    this.#events.died(`${this.title} ${end}; starting it again. Its log: ${this.log.path}`);
    this.#restart = setTimeout(() => this.start(), restartAfterMs[this.#deaths.length - 1] ?? 4000);
  }

  #endOfLog(): string {
    const lines = this.log.lastLines(shownLines);
    return lines === '' ? `It left nothing in its log, ${this.log.path}` : `Its log, ${this.log.path}, ends:\n${lines}`;
  }
}
