import { EventEmitter } from 'node:events';
import { readFile } from 'node:fs/promises';
import { existsSync, watch, type FSWatcher } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { createOnce, makeFolder, namesIn, removeIfThere, syncFolder } from '../disk/durable.js';
import { isErrno } from '../disk/errno.js';

/** Who holds a slot. `foreground`: a job that runs without Temporal, which therefore can't tell whether it is waited for. */
export const SlotHolder = z.object({
  node: z.string(),
  workflow_id: z.string(),
  run_id: z.string(),
  attempt: z.int(),
  foreground: z.literal(true).optional(),
});
export type SlotHolder = z.infer<typeof SlotHolder>;

/** A slot that is taken; a holder that can't be read is undefined. */
export interface TakenSlot {
  number: number;
  holder: SlotHolder | undefined;
}

/**
 * The slots of a node, as linked files `slots/1..N` that any process of the node can take. A slot is held from an
 * attempt's reservation to its end (R7), across every crash: the files are the only count.
 */
export class Slots {
  private readonly events = new EventEmitter();
  private watcher: FSWatcher | undefined;
  /** What takes and frees slots, one after another: between reading a slot and freeing it, it must not change hands. */
  private turn: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly folder: string,
    readonly limit: number,
  ) {
    this.events.setMaxListeners(0);
  }

  /** Makes the folder and starts to listen for slots that get free. */
  async open(): Promise<void> {
    await makeFolder(this.folder);
    // What a crash left of an earlier try to take a slot; not the one that another process is at.
    for (const name of await namesIn(this.folder))
      if (name.startsWith('.') && !existsSync(`/proc/${name.split('.')[2]}`))
        await removeIfThere(path.join(this.folder, name));
    try {
      this.watcher = watch(this.folder, () => this.events.emit('change'));
      this.watcher.on('error', () => this.watcher?.close());
    } catch (error) {
      // No inotify watches left: whoever waits for a change also looks by itself.
      if (!isErrno(error, 'ENOSPC', 'EMFILE')) throw error;
    }
  }

  close(): void {
    this.watcher?.close();
  }

  /** Takes a slot, or finds the one that this holder has. False if all are taken. */
  take(holder: SlotHolder): Promise<boolean> {
    return this.inTurn(() => this.takeNow(holder));
  }

  /** Frees the slot of this holder, if it has one. */
  release(holder: SlotHolder): Promise<void> {
    return this.inTurn(async () => {
      for (const slot of await this.taken()) if (isSame(slot.holder, holder)) await this.unlink(slot.number);
    });
  }

  /** Frees a slot whose holder is still as it was seen. */
  drop({ number, holder }: TakenSlot): Promise<void> {
    return this.inTurn(async () => {
      const now = (await this.taken()).find((slot) => slot.number === number);
      if (JSON.stringify(now?.holder) === JSON.stringify(holder)) await this.unlink(number);
    });
  }

  private async takeNow(holder: SlotHolder): Promise<boolean> {
    const held = await this.taken();
    if (held.some((slot) => isSame(slot.holder, holder))) return true;
    // Also slots beyond the limit count, left from a time when it was higher.
    if (held.length >= this.limit) return false;
    for (let number = 1; number <= this.limit; number++) {
      if (await createOnce(path.join(this.folder, String(number)), JSON.stringify(holder))) return true;
    }
    return false;
  }

  private async unlink(number: number): Promise<void> {
    if (await removeIfThere(path.join(this.folder, String(number)))) await syncFolder(this.folder);
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.turn.then(work);
    this.turn = mine.catch(() => undefined);
    return mine;
  }

  /** All slots that are taken. */
  async taken(): Promise<TakenSlot[]> {
    const numbers = (await namesIn(this.folder)).filter((name) => /^\d+$/.test(name)).map(Number);
    const slots = await Promise.all(numbers.map(async (number) => ({ number, holder: await this.read(number) })));
    return slots.filter((slot): slot is TakenSlot => slot.holder !== 'free');
  }

  /** How many slots are free. */
  async free(): Promise<number> {
    return Math.max(0, this.limit - (await this.taken()).length);
  }

  /** Calls `listener` when a slot may have been taken or freed, by any process. Returns how to stop it. */
  onChange(listener: () => void): () => void {
    this.events.on('change', listener);
    return () => this.events.off('change', listener);
  }

  /** Wakes the listeners: something that counts against the slots has changed in this process. */
  changed(): void {
    this.events.emit('change');
  }

  private async read(number: number): Promise<SlotHolder | undefined | 'free'> {
    let text: string;
    try {
      text = await readFile(path.join(this.folder, String(number)), 'utf8');
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return 'free';
      throw error;
    }
    try {
      return SlotHolder.safeParse(JSON.parse(text)).data;
    } catch (error) {
      if (error instanceof SyntaxError) return undefined;
      throw error;
    }
  }
}

function isSame(one: SlotHolder | undefined, other: SlotHolder): boolean {
  return (
    one?.run_id === other.run_id &&
    one.attempt === other.attempt &&
    one.workflow_id === other.workflow_id &&
    one.node === other.node
  );
}
