import { spawn, type ChildProcessByStdio } from 'node:child_process';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { AgentDiedError } from './errors.js';
import { Lines } from './lines.js';
import { Answer, Notice } from './protocol.js';

export interface AgentSetup {
  /** Longhaul's own folder (its Python is below it). */
  root: string;
  /** The Python that has ansible-core. */
  python: string;
  /** Where Ansible is at home: its ansible.cfg counts, and group_vars and host_vars there. */
  playbooksDir: string;
  vaultPasswordFile?: string;
  /** The environment that Ansible gets. */
  env: Readonly<Record<string, string>>;
  /** Who we are: what an agent of the same id has left is ended by the next one. */
  id: string;
  /** Told each line of the agent's log. */
  log: (line: string) => void;
}

/** Told the answers to one request, and of the death of the process that was to give them. */
export interface Listener {
  answer: (answer: Answer) => void;
  died: (error: AgentDiedError) => void;
}

/** Loading Ansible takes a second, several on a busy machine. */
const startLimitMs = 120_000;
/** How long it may take to end all that it has started; it gives up on that itself after 10 s. */
const stopGraceMs = 15_000;
const rememberedLog = 10;

/** One process of the agent, from its start to its end. */
export class AgentProcess {
  /** Settled when it can be asked; rejected when it ends before. */
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #listeners = new Map<number, Listener>();
  readonly #log: (line: string) => void;
  #lastLog: string[] = [];
  #nextId = 1;
  #hasEnded = false;
  #isRetiring = false;
  #setReady!: () => void;
  #setFailed!: (error: AgentDiedError) => void;

  constructor(setup: AgentSetup) {
    const { root, python, playbooksDir, vaultPasswordFile, env, id } = setup;
    const options = ['--parent', String(process.pid), '--playbook-dir', playbooksDir];
    if (vaultPasswordFile !== undefined) options.push('--vault-password-file', vaultPasswordFile);
    this.#log = setup.log;
    const starting = setTimeout(() => this.kill(), startLimitMs);
    this.ready = new Promise<void>((resolve, reject) => {
      this.#setReady = resolve;
      this.#setFailed = reject;
    }).finally(() => clearTimeout(starting));
    // Whoever waits for it is told; nobody need wait.
    this.ready.catch(() => undefined);
    this.#child = spawn(python, [path.join(root, 'python', 'longhaul_agent'), ...options], {
      cwd: playbooksDir,
      // A session of its own: what ends with our terminal or our group is ours to decide.
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...env, PWD: playbooksDir, LONGHAUL_AGENT: id },
    });
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(this.#end(error.message)));
      // Not 'close': a fork that is stopped holds on to its log.
      this.#child.once('exit', (code, signal) => {
        const end = (): void => resolve(this.#end(signal ?? `exit code ${code}`));
        if (this.#child.stdout.closed) end();
        else this.#child.stdout.once('close', end);
      });
    });
    // It tells of its end by 'exit'.
    this.#child.stdin.on('error', () => undefined);
    const [answers, log] = [new Lines(), new Lines()];
    this.#child.stdout.on('data', (chunk: Buffer) => {
      for (const line of answers.add(chunk)) this.#hear(line);
    });
    this.#child.stderr.on('data', (chunk: Buffer) => {
      for (const line of log.add(chunk)) this.#note(line);
    });
  }

  get isRetiring(): boolean {
    return this.#isRetiring;
  }

  /** Sends a request. The listener is told all that comes of it, to the last answer. */
  send(request: object, listener: Listener): number {
    const id = this.#nextId++;
    if (this.#hasEnded) {
      queueMicrotask(() => listener.died(new AgentDiedError('the agent has ended')));
      return id;
    }
    this.#listeners.set(id, listener);
    this.#child.stdin.write(`${JSON.stringify({ id, ...request })}\n`);
    return id;
  }

  /** It is asked nothing more, and ends when it has answered all. */
  retire(): void {
    this.#isRetiring = true;
    this.#stopIfDone();
  }

  /** Has it end, with all that it has started. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#child.stdin.end();
    const late = setTimeout(() => this.kill(), stopGraceMs);
    await this.ended;
    clearTimeout(late);
  }

  /** For one that hears nothing any more. Its forks end themselves, and the next agent looks after that. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #hear(line: string): void {
    const message = parse(line);
    const answer = Answer.safeParse(message);
    if (answer.success) {
      const listener = this.#listeners.get(answer.data.id);
      if ('done' in answer.data || 'stale' in answer.data) this.#listeners.delete(answer.data.id);
      listener?.answer(answer.data);
      this.#stopIfDone();
      return;
    }
    const notice = Notice.safeParse(message);
    if (notice.success && 'ready' in notice.data) this.#setReady();
    else this.#note(`it said what is not understood: ${line.slice(0, 500)}`);
  }

  #stopIfDone(): void {
    if (this.#isRetiring && this.#listeners.size === 0) void this.stop();
  }

  #note(line: string): void {
    this.#lastLog = [...this.#lastLog, line].slice(-rememberedLog);
    this.#log(line);
  }

  #end(how: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const log = this.#lastLog.length === 0 ? '' : `: ${this.#lastLog.join('\n')}`;
    const error = new AgentDiedError(`the agent ended (${how})${log}`);
    this.#setFailed(error);
    const listeners = [...this.#listeners.values()];
    this.#listeners.clear();
    for (const listener of listeners) listener.died(error);
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
