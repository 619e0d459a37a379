import type { ErrorKind, TaskResult } from './protocol.js';

/** A call that was not answered in full. `results` has what was answered before. */
export class AgentError extends Error {
  override readonly name: string = 'AgentError';

  constructor(
    readonly kind: ErrorKind,
    message: string,
    readonly results: readonly TaskResult[] = [],
  ) {
    super(message);
  }
}

/** The agent, or its process for this call, ended. Nothing of the call runs any more on the node; it may be repeated. */
export class AgentDiedError extends AgentError {
  override readonly name = 'AgentDiedError';

  constructor(message: string, results?: readonly TaskResult[]) {
    super('died', message, results);
  }
}

/** The call took longer than it was given. Nothing of it runs any more on the node; it may be repeated. */
export class CallTimeoutError extends AgentError {
  override readonly name = 'CallTimeoutError';

  constructor(message: string, results?: readonly TaskResult[]) {
    super('timeout', message, results);
  }
}

export function errorOf(kind: ErrorKind, message: string, results: readonly TaskResult[]): AgentError {
  if (kind === 'died') return new AgentDiedError(message, results);
  if (kind === 'timeout') return new CallTimeoutError(message, results);
  return new AgentError(kind, message, results);
}
