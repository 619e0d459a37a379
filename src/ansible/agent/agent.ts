import os from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { AgentProcess, type AgentSetup } from './agent-process.js';
import { AgentDiedError } from './errors.js';
import { exchange, type Answered, type CallOptions } from './exchange.js';
import { Lane } from './lane.js';
import type { HereRequest, Hosts, HostsRequest, Request, RunRequest, TaskResult } from './protocol.js';

export interface AgentOptions extends AgentSetup {
  /** How many calls that go through Ansible are under way at most. */
  limit?: number;
  /** How many calls of `here` are, besides. */
  hereLimit?: number;
  /** How long the agent may take to end an overdue call, before it is taken for stuck; it gives up on that itself after 10 s. */
  answerGraceMs?: number;
}

const defaultLimit = 32;
/** How many calls begin at once: that takes computing, where waiting for a host takes none. */
const beginAtOnce = 2 + 2 * os.availableParallelism();
const beginMs = 2_000;
const defaultHereLimit = 8;
const defaultAnswerGraceMs = 20_000;
/** Waited before a start, by how many have died soon after theirs. */
const backOffMs = [0, 250, 500, 1000, 2000, 5000];
/** The death of one that has lived for so long says nothing about the next one. */
const soundAfterMs = 30_000;

/**
 * Tasks on hosts through an Ansible that is loaded once (python/longhaul_agent). It is started by the first call, and again by the
 * first one after its death. Every call may be repeated: what is launched on a host is started once, whoever asks how often.
 */
export class AnsibleAgent {
  readonly #options: AgentOptions;
  readonly #lane: Lane;
  readonly #hereLane: Lane;
  readonly #beginning = new Lane(beginAtOnce);
  readonly #stopping = new AbortController();
  readonly #processes = new Set<AgentProcess>();
  #current: Promise<AgentProcess> | undefined;
  #soonDead = 0;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#lane = new Lane(options.limit ?? defaultLimit);
    this.#hereLane = new Lane(options.hereLimit ?? defaultHereLimit);
  }

  /**
   * Runs tasks on a host. Fewer results than tasks: with the last one the host became unreachable.
   * @throws AgentError; AgentDiedError and CallTimeoutError say that it may be repeated
   */
  async call(request: Omit<RunRequest, 'verb'>, options: CallOptions): Promise<TaskResult[]> {
    return (await this.#throughAnsible({ verb: 'run', ...request }, options)).results;
  }

  /** @throws AgentError of kind `no_hosts` when the pattern matches none, `inventory` when that can't be read */
  async hosts(request: Omit<HostsRequest, 'verb'>, options: CallOptions): Promise<Hosts> {
    const { hosts } = await this.#throughAnsible({ verb: 'hosts', ...request }, options);
    if (hosts === undefined) throw new AgentDiedError('the agent told of no hosts');
    return hosts;
  }

  /** Asks this machine itself, and isn't held up by calls of other machines. */
  async here(request: Omit<HereRequest, 'verb'>, options: CallOptions): Promise<TaskResult> {
    const { results } = await this.#hereLane.through(
      () => this.#ask({ verb: 'here', ...request }, options),
      options.signal,
    );
    if (results[0] === undefined) throw new AgentDiedError('the agent gave no result');
    return results[0];
  }

  /** Ends the agent with all that it has started for calls; these are rejected, and so are later ones. */
  async stop(): Promise<void> {
    this.#stopping.abort(new AgentDiedError('the agent was stopped'));
    await Promise.all([...this.#processes].map((agent) => agent.stop()));
  }

  #throughAnsible(request: Request, options: CallOptions): Promise<Answered> {
    return this.#lane.through(async () => {
      const { answered } = await this.#beginning.through(async () => {
        const answered = this.#ask(request, options);
        await Promise.race([answered.catch(() => undefined), delay(beginMs, undefined, { ref: false })]);
        return { answered };
      }, options.signal);
      return answered;
    }, options.signal);
  }

  async #ask(request: Request, options: CallOptions): Promise<Answered> {
    for (;;) {
      this.#stopping.signal.throwIfAborted();
      const starting = (this.#current ??= this.#begin());
      const agent = await unlessAborted(starting, options.signal);
      const answered = await exchange(agent, request, options, this.#options.answerGraceMs ?? defaultAnswerGraceMs);
      if (answered !== 'stale') return answered;
      // Ansible's settings have changed: that one finishes what it has begun.
      if (this.#current === starting) this.#current = undefined;
      agent.retire();
    }
  }

  #begin(): Promise<AgentProcess> {
    const starting = this.#start();
    starting.catch(() => {
      if (this.#current === starting) this.#current = undefined;
    });
    return starting;
  }

  async #start(): Promise<AgentProcess> {
    const pause = backOffMs[Math.min(this.#soonDead, backOffMs.length - 1)] ?? 0;
    try {
      await delay(pause, undefined, { signal: this.#stopping.signal });
    } catch {
      throw this.#stopping.signal.reason;
    }
    const agent = new AgentProcess(this.#options);
    const startedAt = performance.now();
    this.#processes.add(agent);
    void agent.ended.then(() => {
      this.#processes.delete(agent);
      if (agent.isRetiring) return;
      this.#current = undefined;
      this.#soonDead = performance.now() - startedAt < soundAfterMs ? this.#soonDead + 1 : 0;
    });
    await agent.ready;
    return agent;
  }
}

async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  signal.throwIfAborted();
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
