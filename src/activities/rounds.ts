const delayMs = 3_000;

/** Does something at the start, at every interval, and when asked to; never twice at once. */
export class Rounds {
  private timer: NodeJS.Timeout | undefined;
  private delayed: NodeJS.Timeout | undefined;
  private current: Promise<void> | undefined;
  private again = false;
  private readonly ending = new AbortController();

  /**
   * @param work one round; its signal aborts when no more is wanted
   * @param failed is told why a round failed; the next one comes all the same
   */
  constructor(
    private readonly work: (signal: AbortSignal) => Promise<void>,
    private readonly intervalMs: number,
    private readonly failed: (error: unknown) => void,
  ) {}

  start(): void {
    this.timer = setInterval(() => this.soon(), this.intervalMs);
    this.soon();
  }

  /** Resolves when the round that is under way has ended. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    clearTimeout(this.delayed);
    this.ending.abort();
    await this.current;
  }

  /** Begins a round within some seconds: for what often comes in numbers. */
  soonish(): void {
    this.delayed ??= setTimeout(() => {
      this.delayed = undefined;
      this.soon();
    }, delayMs);
  }

  /** Begins a round now, or after the one that is under way. */
  soon(): void {
    const { signal } = this.ending;
    if (signal.aborted) return;
    if (this.current !== undefined) {
      this.again = true;
      return;
    }
    this.current = this.work(signal)
      .catch((error: unknown) => {
        if (!signal.aborted) this.failed(error);
      })
      .finally(() => {
        this.current = undefined;
        if (!this.again) return;
        this.again = false;
        this.soon();
      });
  }
}
