import { embeddedRetentionSeconds } from '../../job/retention.js';
import { Problem } from '../problem.js';
import type { Temporal } from './connection.js';

const freshMs = 60_000;
const againMs = 2_000;
const readTimeoutMs = 2_000;

/** For how long Temporal keeps closed runs: read from the namespace, and now and then again. */
export class Retention {
  #seconds = embeddedRetentionSeconds;
  #freshUntil: number;
  #reading: Promise<void> | undefined;

  /** @param embedded the server is ours and keeps what we set */
  constructor(
    private readonly temporal: Temporal,
    embedded: boolean,
  ) {
    this.#freshUntil = embedded ? Infinity : 0;
  }

  /** In seconds, Infinity for ever; what was known last, at first our own 30 days, while Temporal is away. */
  async seconds(): Promise<number> {
    if (performance.now() >= this.#freshUntil) {
      this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
      await this.#reading;
    }
    return this.#seconds;
  }

  async #read(): Promise<void> {
    const { namespace } = this.temporal;
    try {
      const { config } = await this.temporal.call((service) => service.describeNamespace({ namespace }), {
        timeoutMs: readTimeoutMs,
      });
      this.#seconds = Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0) || Infinity;
      this.#freshUntil = performance.now() + freshMs;
    } catch (error) {
      // Whoever asks for it goes on to call Temporal, and says that it is away.
      if (!(error instanceof Problem)) throw error;
      this.#freshUntil = performance.now() + againMs;
    }
  }
}
