import type { NodeContext } from './context.js';
import { sweep } from './sweep.js';

/** Sweeps at the start, at every interval, and when asked to; never twice at once. */
export class Sweeper {
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> | undefined;
  private again = false;
  private stopped = false;

  constructor(
    private readonly context: NodeContext,
    private readonly intervalMs: number,
  ) {}

  start(): void {
    this.timer = setInterval(() => this.soon(), this.intervalMs);
    this.soon();
  }

  /** Resolves when the sweep that is under way has ended. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    this.stopped = true;
    await this.sweeping;
  }

  /** Sweeps now, or once more after the sweep that is under way. */
  soon(): void {
    if (this.stopped) return;
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
