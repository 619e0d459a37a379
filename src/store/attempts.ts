import { stat } from 'node:fs/promises';
import { attemptFolder, type AttemptKey } from '../ansible/folders.js';
import { readLastClaim, readRecord, Started } from '../ansible/records.js';
import { isErrno } from '../disk/errno.js';
import type { AttemptEvidence } from '../job/evidence.js';
import { Outcome } from '../job/outcome.js';
import type { LiveProgress } from '../job/progress.js';
import type { Slots } from '../node/slots.js';
import type { OnHosts } from './host-output.js';
import { HostsOutput, StoredOutput } from './output.js';
import { ProgressReader } from './progress.js';

/** How many attempts' progress is followed at the same time. */
const followedAttempts = 100;

/** The attempt folders of this machine's node, for those who only read them. */
export class AttemptStore {
  private readonly followed = new Map<string, ProgressReader>();

  /**
   * @param runsDir where the attempts are
   * @param slots the node's, which say what has not ended yet
   * @param targets likewise, for what it watches on target hosts
   * @param nodeId the node whose folders these are
   */
  constructor(
    private readonly runsDir: string,
    private readonly slots: Pick<Slots, 'taken'>,
    private readonly targets: { isOpen: (runId: string, attempt?: number) => Promise<boolean> },
    readonly nodeId: string,
  ) {}

  /** What is on record of an attempt of `node`. Null if its folder isn't on this machine. */
  async evidence(key: AttemptKey, node: string): Promise<AttemptEvidence | null> {
    const folder = attemptFolder(this.runsDir, key);
    if (!(await isFolder(folder))) return node === this.nodeId ? this.withoutFolder(key) : null;
    const [started, outcome, claim] = await Promise.all([
      readRecord(folder, 'started', Started),
      readRecord(folder, 'outcome.json', Outcome),
      readLastClaim(folder),
    ]);
    const isVoid = claim !== undefined && claim.claim !== 'corrupt' && claim.claim.void;
    return {
      startedAt: started === undefined || started === 'corrupt' ? null : new Date(started.at * 1000).toISOString(),
      outcome: outcome === 'corrupt' ? null : (outcome ?? null),
      over: isVoid || !(await this.isHeld(key.runId, key.attempt)),
    };
  }

  /** The output of an attempt; undefined if its folder isn't on this machine. */
  async output(key: AttemptKey): Promise<StoredOutput | undefined> {
    const folder = attemptFolder(this.runsDir, key);
    return (await isFolder(folder)) ? new StoredOutput(folder) : undefined;
  }

  /**
   * The output of attempts on target hosts, from `first` to that of the key; undefined if none has a folder on this machine.
   * @param on how it stands there; with `isUnderWay` the last one is, and must have its folder here
   */
  async outputOnHosts(
    key: AttemptKey,
    first: number,
    { isUnderWay, ...on }: Omit<OnHosts, 'underWay'> & { isUnderWay: boolean },
  ): Promise<HostsOutput | undefined> {
    const folders: string[] = [];
    for (let attempt = key.attempt; attempt >= first; attempt--) {
      const folder = attemptFolder(this.runsDir, { ...key, attempt });
      if (await isFolder(folder)) folders.push(folder);
      else if (isUnderWay && attempt === key.attempt) return undefined;
    }
    const [last] = folders;
    if (last === undefined) return undefined;
    return new HostsOutput(folders, { ...on, underWay: isUnderWay ? last : null });
  }

  /** How far an attempt is now; undefined if its folder isn't on this machine. */
  async progress(key: AttemptKey): Promise<Omit<LiveProgress, 'eta'> | undefined> {
    const folder = attemptFolder(this.runsDir, key);
    if (!(await isFolder(folder))) return undefined;
    const reader = this.followed.get(folder) ?? new ProgressReader(folder);
    // The one that was asked for last is at the end.
    this.followed.delete(folder);
    this.followed.set(folder, reader);
    const [oldest] = this.followed.keys();
    if (this.followed.size > followedAttempts && oldest !== undefined) this.followed.delete(oldest);
    await reader.update();
    return reader.progress;
  }

  /** The same of an attempt on target hosts, by what this node still has to see to there. Null if it was not watched here. */
  async onTargets(key: AttemptKey): Promise<AttemptEvidence | null> {
    if (!(await isFolder(attemptFolder(this.runsDir, key)))) return null;
    return { startedAt: null, outcome: null, over: !(await this.targets.isOpen(key.runId, key.attempt)) };
  }

  /** Whether an attempt of a run holds a slot here, as it does from its reservation to its end. */
  async isHeld(runId: string, attempt?: number): Promise<boolean> {
    const taken = await this.slots.taken();
    return taken.some(
      ({ holder }) => holder?.run_id === runId && (attempt === undefined || holder.attempt === attempt),
    );
  }

  private async withoutFolder(key: AttemptKey): Promise<AttemptEvidence> {
    return { startedAt: null, outcome: null, over: !(await this.isHeld(key.runId, key.attempt)) };
  }
}

async function isFolder(folder: string): Promise<boolean> {
  try {
    return (await stat(folder)).isDirectory();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}
