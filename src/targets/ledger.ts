import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { readRecord } from '../ansible/records.js';
import { makeFolder, namesIn, removeIfThere, replaceDurably } from '../disk/durable.js';
import { attemptOnHosts } from '../job/node-protocol.js';
import { JobSpec } from '../job/spec.js';
import type { TargetsRef } from '../job/target-protocol.js';

const Place = z.intersection(
  z.object({ local: z.boolean(), becomes: z.boolean().optional() }),
  z.union([
    z.object({ dir: z.string(), token: z.string(), machine: z.string().nullish() }),
    z.object({ adopted: z.object({ job_id: z.string(), async_dir: z.string().nullable() }) }),
  ]),
);
const Entry = z.object({
  workflow_id: z.string(),
  run_id: z.string(),
  attempt: z.int(),
  spec: JobSpec,
  places: z.record(z.string(), Place),
  /** Whether it is known how it ended; what is left is to clean up. */
  ended: z.boolean(),
  /** The run in Temporal that doesn't wait for it any more; one that continues that after a Reset may. */
  given_up_by: z.string().optional(),
  /** Hosts where it was ended since. */
  ended_on: z.array(z.string()).optional(),
});

/** An attempt, or a part of one, that this node has watched on target hosts. */
export type LedgerEntry = TargetsRef & Pick<z.infer<typeof Entry>, 'ended' | 'given_up_by' | 'ended_on'>;

/**
 * What this node has to see to on target hosts until nothing of it is left there, also when nobody asks for it any more: one file
 * for each part of an attempt, from before its start.
 */
export class TargetLedger {
  private readonly watched = new Map<string, number>();
  /** By file, as far as it was read or written. */
  private readonly hasEnded = new Map<string, boolean>();

  constructor(private readonly folder: string) {}

  /** Does `work`, which watches an attempt; until it has ended nobody else here needs to see to that. @param isOver whether nothing of it lives */
  async while<T>(ref: TargetsRef, work: () => Promise<T>, isOver: (value: T) => boolean): Promise<T> {
    const name = nameOf(ref);
    await makeFolder(this.folder);
    await this.write({ ...ref, ended: false });
    this.watched.set(name, (this.watched.get(name) ?? 0) + 1);
    try {
      const value = await work();
      if (isOver(value)) await this.markEnded(ref);
      return value;
    } finally {
      const others = (this.watched.get(name) ?? 1) - 1;
      if (others > 0) this.watched.set(name, others);
      else this.watched.delete(name);
    }
  }

  /** What lives of it is to be ended. @param by the run in Temporal that says so */
  async markGivenUp(ref: TargetsRef, by: string): Promise<void> {
    await this.write({ ...ref, ended: false, given_up_by: by });
  }

  async markEndedOn(entry: LedgerEntry, hosts: string[]): Promise<void> {
    if (hosts.length > 0) await this.write({ ...entry, ended_on: [...(entry.ended_on ?? []), ...hosts] });
  }

  async markEnded(ref: TargetsRef): Promise<void> {
    await this.write({ ...ref, ended: true });
  }

  async remove(ref: TargetsRef): Promise<void> {
    await removeIfThere(path.join(this.folder, nameOf(ref)));
    this.hasEnded.delete(nameOf(ref));
  }

  /** Whether nothing new has become known of it for so many seconds. */
  async isOlder(ref: TargetsRef, seconds: number): Promise<boolean> {
    const { mtimeMs } = await stat(path.join(this.folder, nameOf(ref)));
    return Date.now() - mtimeMs > seconds * 1000;
  }

  /** Those that nobody here watches now. */
  async left(): Promise<LedgerEntry[]> {
    return this.read((name) => !this.watched.has(name));
  }

  /** All that is not cleaned up yet. */
  async all(): Promise<LedgerEntry[]> {
    return this.read(() => true);
  }

  private async read(isWanted: (name: string) => boolean): Promise<LedgerEntry[]> {
    const names = (await namesIn(this.folder)).filter((name) => isEntry(name) && isWanted(name));
    const entries = await Promise.all(names.map((name) => readRecord(this.folder, name, Entry)));
    return entries.flatMap((entry) =>
      entry !== undefined && entry !== 'corrupt' && (entry.spec.kind === 'task' || entry.spec.kind === 'adopt')
        ? [{ ...entry, spec: entry.spec }]
        : [],
    );
  }

  /** Whether anything of an attempt, or of any attempt of a run, has not ended as far as this node knows. */
  async isOpen(runId: string, attempt?: number): Promise<boolean> {
    const prefix = attempt === undefined ? `${runId}.` : `${attemptOnHosts(runId, attempt)}.`;
    for (const name of await namesIn(this.folder)) {
      if (!name.startsWith(prefix)) continue;
      const entry = await readRecord(this.folder, name, Entry);
      if (entry !== undefined && (entry === 'corrupt' || !entry.ended)) return true;
    }
    return false;
  }

  /** The attempts of which any part has not ended as far as this node knows. Each file is read once at most; nobody else writes them. */
  async open(): Promise<string[]> {
    const names = (await namesIn(this.folder)).filter(isEntry);
    for (const name of names) {
      if (this.hasEnded.has(name)) continue;
      const entry = await readRecord(this.folder, name, Entry);
      if (entry !== undefined && !this.hasEnded.has(name)) this.hasEnded.set(name, entry !== 'corrupt' && entry.ended);
    }
    const open = names.filter((name) => this.hasEnded.get(name) === false);
    return [...new Set(open.map((name) => name.split('.').slice(0, 2).join('.')))];
  }

  private async write(entry: LedgerEntry): Promise<void> {
    const name = nameOf(entry);
    // In doubt it is open.
    this.hasEnded.set(name, false);
    await replaceDurably(path.join(this.folder, name), JSON.stringify(entry));
    this.hasEnded.set(name, entry.ended);
  }
}

function isEntry(name: string): boolean {
  return name.endsWith('.json') && !name.startsWith('.');
}

function nameOf({ run_id, attempt, places }: TargetsRef): string {
  const hosts = JSON.stringify(Object.keys(places).sort());
  const part = createHash('sha256').update(hosts).digest('hex').slice(0, 12);
  return `${attemptOnHosts(run_id, attempt)}.${part}.json`;
}
