import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';

const pauseMs = 300;

/** Connects to Temporal, however long it takes to come up. Rejects only when `signal` aborts. */
export async function connectPatiently<T>(connect: () => Promise<T>, log: Logger, signal: AbortSignal): Promise<T> {
  let said = false;
  for (;;) {
    try {
      return await connect();
    } catch (error) {
      if (!said) log.info({ reason: (error as Error).message }, 'waiting for Temporal');
      said = true;
      await delay(pauseMs, undefined, { signal });
    }
  }
}
