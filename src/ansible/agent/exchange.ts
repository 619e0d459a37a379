import type { AgentProcess } from './agent-process.js';
import { errorOf } from './errors.js';
import type { Answer, Hosts, Request, TaskResult } from './protocol.js';

export interface CallOptions {
  /** How long it may take from when it is begun; before, it may have to wait for others. */
  timeoutMs: number;
  /** Ends the call with all of its processes on the node. What it has launched on a target goes on. */
  signal?: AbortSignal;
}

/** All that came of a request. */
export interface Answered {
  results: TaskResult[];
  hosts?: Hosts;
}

/**
 * One request and its answers. `stale`: it was not begun, because the agent's Ansible is out of date.
 * @param answerGraceMs how much longer than the call itself its answer may take, before the agent is taken for stuck and killed
 */
export function exchange(
  agent: AgentProcess,
  request: Request,
  { timeoutMs, signal }: CallOptions,
  answerGraceMs: number,
): Promise<Answered | 'stale'> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const answered: Answered = { results: [] };
    const id = agent.send({ ...request, timeout: timeoutMs / 1000 }, { answer, died: fail });
    // An agent that answers nothing any more is stopped or stuck.
    let overdue = setTimeout(() => agent.kill(), timeoutMs + answerGraceMs);
    signal?.addEventListener('abort', abort, { once: true });

    function answer(said: Answer): void {
      if ('status' in said) answered.results.push({ task: said.task, status: said.status, result: said.result });
      else if ('hosts' in said) answered.hosts = { hosts: said.hosts, warnings: said.warnings };
      else if ('stale' in said) settle(() => resolve('stale'));
      else if (said.error === null) settle(() => resolve(answered));
      else fail(errorOf(said.error.kind, said.error.msg, answered.results));
    }

    function fail(error: Error): void {
      settle(() => reject(signal?.aborted === true ? (signal.reason as Error) : error));
    }

    function settle(act: () => void): void {
      clearTimeout(overdue);
      signal?.removeEventListener('abort', abort);
      act();
    }

    function abort(): void {
      agent.send({ verb: 'stop', target: id }, { answer: () => undefined, died: () => undefined });
      clearTimeout(overdue);
      overdue = setTimeout(() => agent.kill(), answerGraceMs);
    }
  });
}
