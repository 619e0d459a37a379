import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';

const firstPauseMs = 500;
const longestPauseMs = 5_000;

/**
 * Has jobs that have ended entered into Temporal, one after another and as often as it takes: while Temporal is away with
 * growing pauses.
 */
export class Entering {
  readonly #names = new Set<string>();
  #working: Promise<void> | undefined;

  /**
   * @param enter makes Temporal have a job; whether it has it now, closed
   * @param signal ends it, with what is left to be entered
   */
  constructor(
    private readonly enter: (name: string) => Promise<boolean>,
    private readonly log: Logger,
    private readonly signal: AbortSignal,
  ) {}

  /** From now on this job is tried to be entered. May be repeated. */
  add(name: string): void {
    this.#names.add(name);
    this.#working ??= this.#work().finally(() => (this.#working = undefined));
  }

  /** Resolves when nothing is being entered any more. */
  async stopped(): Promise<void> {
    await this.#working;
  }

  async #work(): Promise<void> {
    let pauseMs = firstPauseMs;
    while (this.#names.size > 0 && !this.signal.aborted) {
      const isProgress = await this.#pass();
      if (this.#names.size === 0) return;
      pauseMs = isProgress ? firstPauseMs : Math.min(2 * pauseMs, longestPauseMs);
      await delay(pauseMs, undefined, { signal: this.signal }).catch(() => undefined);
    }
  }

  /** Tries all, until one fails, as all do while Temporal is away. Whether any was entered. */
  async #pass(): Promise<boolean> {
    let isProgress = false;
    for (const name of [...this.#names]) {
      if (this.signal.aborted) break;
      try {
        if (!(await this.enter(name))) continue;
        this.#names.delete(name);
        isProgress = true;
      } catch (error) {
        this.log.info({ err: error, name }, 'a job that ran in the foreground is not in Temporal yet');
        // To the end of the line: one that Temporal won't take must not keep the others from it.
        this.#names.delete(name);
        this.#names.add(name);
        break;
      }
    }
    return isProgress;
  }
}
