import { rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { identityOf, liveness, ProcessIdentity } from '../ansible/identity.js';
import { readRecord } from '../ansible/records.js';
import { createFolderOnce, createOnce, namesIn, replaceDurably } from '../disk/durable.js';
import { isErrno } from '../disk/errno.js';
import type { JobName } from '../job/names.js';
import { Outcome } from '../job/outcome.js';
import { PlaybookSpec } from '../job/kinds/playbook.js';

/** What was asked for, and why it runs without Temporal. Never changed. */
const Order = z.object({
  tenant: z.string(),
  playbook_name: z.string(),
  /** Made for it, so that nothing else has it; the id of its run too. */
  name: z.string(),
  spec: PlaybookSpec,
  node: z.string(),
  created_at: z.string(),
  reason: z.string(),
});
export type Order = z.infer<typeof Order>;

/** How far it is; written by its owner alone. */
const Progress = z.object({
  /** The attempt that was prepared: only this token may be consumed (R1). Null between two attempts, and at the end. */
  placement: z.object({ attempt: z.int(), token: z.string() }).nullable(),
  attempts: z.array(z.object({ attempt: z.int(), node: z.string(), outcome: Outcome })),
  retry_at: z.string().nullable(),
  outcome: Outcome.nullable(),
});
export type Progress = z.infer<typeof Progress>;

const Cancel = z.object({ reason: z.string() });

/** A job that runs, or ran, in the foreground. `progress` is null until it was accepted. */
export interface ForegroundRecord {
  order: Order;
  progress: Progress | null;
  /** Why it is to be canceled; null if it isn't. */
  cancel: string | null;
}

/** What tells one record from another. */
type Ref = Pick<Order, 'name'>;

/** The name of a job, as everything but its record writes it. */
export function jobOf({ tenant, playbook_name, name }: Order): JobName {
  return { tenant, playbookName: playbook_name, name };
}

/**
 * The records of the jobs that run in the foreground: a folder for each, until Temporal has the job. In it `order.json`,
 * `progress.json`, `cancel.json`, and who sees to it: the last of `owner.1`, `owner.2` ..., each taken by link(2) when the
 * one before it is dead.
 */
export class Records {
  /** @param folder of all records of a data folder */
  constructor(private readonly folder: string) {}

  /** Makes the record of a job that is about to be placed, owned by this process. */
  async create(order: Order): Promise<void> {
    await createFolderOnce(this.folderOf(order), {
      'order.json': JSON.stringify(order),
      'owner.1': JSON.stringify(ownIdentity()),
    });
  }

  /** Undefined if there is none of this name. @throws Error for one that can't be read */
  async read(name: string): Promise<ForegroundRecord | undefined> {
    const folder = this.folderOf({ name });
    const order = await readRecord(folder, 'order.json', Order);
    if (order === undefined) return undefined;
    const [progress, cancel] = await Promise.all([
      readRecord(folder, 'progress.json', Progress),
      readRecord(folder, 'cancel.json', Cancel),
    ]);
    if (order === 'corrupt' || progress === 'corrupt')
      throw new Error(`${folder} has a record that can't be read; its job is not in Temporal yet`);
    return { order, progress: progress ?? null, cancel: cancel === 'corrupt' ? '' : (cancel?.reason ?? null) };
  }

  /** The names of all that are there. */
  async names(): Promise<string[]> {
    return (await namesIn(this.folder)).filter((name) => !name.startsWith('.'));
  }

  async write(ref: Ref, progress: Progress): Promise<void> {
    await replaceDurably(path.join(this.folderOf(ref), 'progress.json'), JSON.stringify(progress));
  }

  /** Puts on record that it is to be canceled: the first reason stays. */
  async cancel(ref: Ref, reason: string): Promise<void> {
    await createOnce(path.join(this.folderOf(ref), 'cancel.json'), JSON.stringify({ reason }));
  }

  /** Whether this process sees to it from now on: nobody living does. */
  async own(ref: Ref): Promise<boolean> {
    const folder = this.folderOf(ref);
    const numbers = (await namesIn(folder)).map((name) => Number(/^owner\.(\d+)$/.exec(name)?.[1] ?? 0));
    const last = Math.max(0, ...numbers);
    const owner = await readRecord(folder, `owner.${last}`, ProcessIdentity);
    const own = ownIdentity();
    if (owner !== undefined && owner !== 'corrupt') {
      if (owner.pid === own.pid && owner.start === own.start && owner.boot === own.boot) return true;
      // One in another pid namespace may live: two that watch do no harm, nobody would.
      if (liveness(owner) === 'alive') return false;
    }
    try {
      return await createOnce(path.join(folder, `owner.${last + 1}`), JSON.stringify(own));
    } catch (error) {
      // Removed meanwhile: Temporal has it.
      if (isErrno(error, 'ENOENT')) return false;
      throw error;
    }
  }

  /** All of it at once. May be repeated. */
  async remove(ref: Ref): Promise<void> {
    const aside = path.join(this.folder, `.${ref.name}.removed`);
    try {
      await rename(this.folderOf(ref), aside);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
    await rm(aside, { recursive: true, force: true });
  }

  private folderOf({ name }: Ref): string {
    return path.join(this.folder, name);
  }
}

function ownIdentity(): ProcessIdentity {
  const own = identityOf(process.pid);
  if (own === undefined) throw new Error('/proc does not show this process. Longhaul needs Linux with /proc mounted.');
  return own;
}
