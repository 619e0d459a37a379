import { setTimeout as delay } from 'node:timers/promises';
import {
  Client,
  Connection,
  isGrpcServiceError,
  isRetryableError,
  type OperatorService,
  type WorkflowService,
} from '@temporalio/client';
import { Problem } from '../problem.js';
import { registerSearchAttributes } from './search-attributes.js';

/** gRPC status codes that are told apart here. */
export const grpc = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
} as const;

/** Temporal can't serve now: DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, UNAVAILABLE. */
const away: readonly number[] = [grpc.DEADLINE_EXCEEDED, 8, 10, 14];
const callTimeoutMs = 5_000;
const retryPauseMs = 200;
const retryAfter = '2';

export interface TemporalOptions {
  /** `host:port` of the frontend. */
  address: string;
  namespace: string;
  identity: string;
}

/**
 * The API's connection to Temporal. It is established by the first call and again whenever it was lost; until then
 * calls wait for it, as long as their deadline allows.
 */
export class Temporal {
  readonly client: Client;
  readonly namespace: string;
  readonly identity: string;
  readonly #connection: Connection;
  #attributes: Promise<void> | undefined;

  constructor({ address, namespace, identity }: TemporalOptions) {
    this.#connection = Connection.lazy({
      address,
      // Temporal may be away for long; what comes back is to be found at once.
      channelArgs: { 'grpc.initial_reconnect_backoff_ms': 200, 'grpc.max_reconnect_backoff_ms': 1000 },
      // The SDK's own repetition outlasts deadlines and can't be canceled; see call().
      interceptors: [],
    });
    this.client = new Client({ connection: this.#connection, namespace, identity });
    this.namespace = namespace;
    this.identity = identity;
  }

  /** How values are turned into payloads and back. */
  get converter(): Client['options']['loadedDataConverter'] {
    return this.client.options.loadedDataConverter;
  }

  /**
   * One call of Temporal's service, repeated until its deadline while Temporal is away for a moment.
   * @param request is repeated as it is: what must happen once has to carry a request id
   * @param options deadline in ms from now (default 5 s); `signal` cancels the call
   * @throws Problem `temporal-unavailable` when Temporal can't be reached or doesn't answer in time; else the gRPC error
   */
  async call<T>(
    request: (service: WorkflowService, operator: OperatorService) => Promise<T>,
    { timeoutMs = callTimeoutMs, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<T> {
    const until = Date.now() + timeoutMs;
    const send = (): Promise<T> => request(this.#connection.workflowService, this.#connection.operatorService);
    const isAborted = (): boolean => signal?.aborted === true;
    const withSignal = signal === undefined ? send : (): Promise<T> => this.#abortable(signal, send);
    for (;;) {
      try {
        return await this.#connection.withDeadline(until, withSignal);
      } catch (error) {
        const isWorthRepeating =
          isGrpcServiceError(error) && isRetryableError(error) && Date.now() + retryPauseMs < until;
        const told = isAway(error) ? temporalUnavailable(error) : error;
        if (isAborted() || !isWorthRepeating) throw told;
        await delay(retryPauseMs);
        if (isAborted()) throw told;
      }
    }
  }

  /** The SDK never takes back what it asks of a signal, and a long wait makes many calls: each has a signal of its own. */
  async #abortable<T>(signal: AbortSignal, send: () => Promise<T>): Promise<T> {
    const call = new AbortController();
    const abort = (): void => call.abort();
    signal.addEventListener('abort', abort);
    try {
      return await this.#connection.withAbortSignal(call.signal, send);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** Has the attributes that jobs are found by registered in the namespace, once in the life of this object. */
  ensureSearchAttributes(): Promise<void> {
    this.#attributes ??= registerSearchAttributes(this).catch((error: unknown) => {
      this.#attributes = undefined;
      throw error;
    });
    return this.#attributes;
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }
}

/** Whether `error` is a gRPC error with this code. */
export function hasGrpcCode(error: unknown, code: number): boolean {
  return isGrpcServiceError(error) && (error.code as number) === code;
}

/**
 * The answer while Temporal is away.
 * @param detail what that means for the request
 */
export function temporalUnavailable(
  cause: unknown,
  detail = 'Temporal does not answer, and it alone knows the jobs. Repeat the request later',
): Problem {
  const problem = new Problem('temporal-unavailable', detail, { headers: { 'retry-after': retryAfter } });
  problem.cause = cause;
  return problem;
}

function isAway(error: unknown): boolean {
  if (!isGrpcServiceError(error)) return false;
  // A namespace that isn't there is a Temporal that isn't set up yet.
  return (
    away.includes(error.code) ||
    ((error.code as number) === grpc.NOT_FOUND && /^Namespace .* not found/i.test(error.details))
  );
}
