import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { isErrno } from '../../disk/errno.js';

/** How often Temporal is knocked at while nobody listens there. */
const knockMs = 250;
const decideMs = 100;
const connectTimeoutMs = 1_000;

/**
 * Knows since when nobody has listened at Temporal's address. Only a refused connection counts: of a Temporal that is frozen
 * or can't be reached, nobody here knows what it does.
 */
export class Outage {
  #since: Date | null = null;
  #knocking: NodeJS.Timeout | undefined;

  /** @param address `host:port` */
  constructor(readonly address: string) {}

  /** Since when nobody has listened, as last known; null while somebody does, or nobody has looked. */
  get since(): Date | null {
    return this.#since;
  }

  /** One fresh look: since when nobody has listened; null if somebody may. */
  async look(): Promise<Date | null> {
    if (await isRefused(this.address)) {
      this.#since ??= new Date();
      this.#knocking ??= setInterval(() => void this.look(), knockMs).unref();
    } else {
      this.stop();
    }
    return this.#since;
  }

  /**
   * Waits until it is certain that nobody has listened for `afterMs`, or that somebody listens.
   * @param signals of those who don't wait any more
   * @returns since when; null if somebody may listen, or a signal was aborted
   */
  async lasting(afterMs: number, ...signals: AbortSignal[]): Promise<Date | null> {
    for (;;) {
      const since = await this.look();
      if (since === null || Date.now() - since.getTime() >= afterMs) return since;
      if (signals.some(({ aborted }) => aborted)) return null;
      await delay(decideMs);
    }
  }

  stop(): void {
    clearInterval(this.#knocking);
    this.#knocking = undefined;
    this.#since = null;
  }
}

function isRefused(address: string): Promise<boolean> {
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port), timeout: connectTimeoutMs });
    const answer = (isRefused: boolean): void => {
      socket.destroy();
      resolve(isRefused);
    };
    socket.once('connect', () => answer(false));
    socket.once('timeout', () => answer(false));
    socket.once('error', (error) => answer(isErrno(error, 'ECONNREFUSED')));
  });
}
