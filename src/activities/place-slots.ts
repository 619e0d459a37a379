import type { ActivitySlotInfo, CustomSlotSupplier, SlotPermit } from '@temporalio/worker';
import type { Slots } from '../node/slots.js';

/**
 * Lets the node ask for work only while it has a free slot: a job that can't be run here is left to a node that can,
 * and the queue's order decides who is next (R7).
 */
export class PlaceSlots implements CustomSlotSupplier<ActivitySlotInfo> {
  readonly type = 'custom';
  private permits = 0;
  private open: () => void = () => undefined;
  private readonly opened = new Promise<void>((resolve) => (this.open = resolve));

  constructor(private readonly slots: Slots) {}

  /** From now on the node asks for work: it is known that nobody else serves as this node. */
  begin(): void {
    this.open();
  }

  async reserveSlot(_context: unknown, signal: AbortSignal): Promise<SlotPermit> {
    await Promise.race([this.opened, aborted(signal)]);
    for (;;) {
      signal.throwIfAborted();
      const changed = this.nextChange(signal);
      const free = await this.slots.free();
      if (free > this.permits) {
        changed.stop();
        this.permits += 1;
        return {};
      }
      await changed.happened;
    }
  }

  tryReserveSlot(): null {
    return null;
  }

  markSlotUsed(): void {
    // A used permit counts until the activity has ended: by then the slot's file counts instead.
  }

  releaseSlot(): void {
    this.permits -= 1;
    this.slots.changed();
  }

  /** The next time something may have changed; the tick covers a change that the file system did not announce. */
  private nextChange(signal: AbortSignal): { happened: Promise<void>; stop: () => void } {
    let stop: () => void = () => undefined;
    const happened = new Promise<void>((resolve) => {
      const tick = setTimeout(resolve, 1000);
      const off = this.slots.onChange(resolve);
      const onAbort = (): void => {
        resolve();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      stop = () => {
        clearTimeout(tick);
        off();
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
    });
    return { happened: happened.finally(() => stop()), stop };
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
