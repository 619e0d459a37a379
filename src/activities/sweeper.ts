import type { NodeContext } from './context.js';
import { sweep } from './sweep.js';

/** Sweeps at the start, at every interval, and when asked to; never twice at once. */
export class Sweeper {
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> | undefined;
  private again = false;

  constructor(
    private readonly context: NodeContext,
    private readonly intervalMs: number,
  ) {}

  start(): void {
    this.timer = setInterval(() => this.soon(), this.intervalMs);
    this.soon();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** Sweeps now, or once more after the sweep that is under way. */
  soon(): void {
    if (this.sweeping !== undefined) {
      this.again = true;
      return;
    }
    this.sweeping = sweep(this.context)
      .catch((error: unknown) => {
        this.context.log.error({ err: error }, 'sweep failed');
      })
      .finally(() => {
        this.sweeping = undefined;
        if (!this.again) return;
        this.again = false;
        this.soon();
      });
  }
}
