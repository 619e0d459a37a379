import type { Temporal } from './connection.js';
import type { Outage } from './outage.js';
import { away, readiness, type Queue, type Readiness } from './readiness.js';

/** Older answers are asked for anew, by whoever wants to know. */
const freshMs = 2_000;

/** What was last heard of Temporal. Times are RFC 3339. */
export interface Heard {
  temporal: 'ok' | 'away' | 'unknown';
  /** Since when it has not answered; null if it does, or was not asked. */
  awaySince: string | null;
  /** The jobs that were open then; null if they were never counted. */
  queue: (Queue & { at: string }) | null;
}

/** Asks how Temporal is, and remembers it for those who can't wait for an answer. */
export class Pulse {
  #heard: Heard = { temporal: 'unknown', awaySince: null, queue: null };
  #askedAt = 0;
  #asking: Promise<Readiness> | undefined;

  constructor(
    private readonly engine: Temporal,
    private readonly outage: Outage,
  ) {}

  /** What is known, without waiting; when it isn't fresh, the next one who asks gets something newer. */
  last(): Heard {
    if (Date.now() - this.#askedAt > freshMs) void this.ask();
    const { since } = this.outage;
    if (since === null || this.#heard.temporal === 'away') return this.#heard;
    return { ...this.#heard, temporal: 'away', awaySince: since.toISOString() };
  }

  /** Asks Temporal; those who ask meanwhile share the answer. Takes 1.5 s at most. */
  ask(): Promise<Readiness> {
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  async #ask(): Promise<Readiness> {
    const since = await this.outage.look();
    const found = since === null ? await readiness(this.engine) : away;
    this.#askedAt = Date.now();
    const at = new Date(this.#askedAt).toISOString();
    const { queue } = found;
    if (found.temporal === null) this.#heard = { temporal: 'ok', awaySince: null, queue: queue && { ...queue, at } };
    else
      this.#heard = {
        ...this.#heard,
        temporal: 'away',
        awaySince: this.#heard.awaySince ?? since?.toISOString() ?? at,
      };
    return found;
  }
}
