import type { Logger } from 'pino';
import { lookBytes, type LookedAt, type TargetCalls } from './calls.js';
import { isHere, type TargetHost } from './host.js';
import type { Look } from './looks.js';

/** A job that is looked at. */
export interface Watched {
  /** When it was started, or began to be watched, ms since 1970: what is young is looked at more often. */
  readonly since: number;
  /** What to look at, given how many bytes of each output the answer may have. */
  lookedAt(chunk: number): LookedAt;
  /** What was seen. Rejections are logged, and the next look comes all the same. */
  seen(look: Look): Promise<void>;
  /** There was no answer. @param isReached whether the host was there, and could not look */
  unseen(reason: string, isReached?: boolean): void;
  /** It could not be asked for a reason that lies here: nothing is known of the host by that (R12). */
  unasked(reason: string): void;
  /** Whether it knows of output that was not brought yet. */
  readonly hasMore: boolean;
}

/** How often hosts are looked at, in ms. */
const pace = {
  /** Nobody waits between two looks for less. */
  least: 500,
  /** Of the time since a job's start; what has run for long is not missed by a moment. */
  share: 0.1,
  most: 6_000,
  /** On this machine a look costs little. */
  mostHere: 1_000,
  /** A host that takes long to answer is not asked all the time. */
  ofDuration: 1.5,
  unreachable: [2_000, 5_000, 10_000, 20_000, 30_000],
  jitter: 0.15,
} as const;
/** A look that waits for its turn says nothing about its host; one that was begun has a time limit of its own. */
const uncancelled = new AbortController().signal;
/** What a slow link brings within the time limit of a look. */
const fewestBytes = 128 * 1024;
const smallestChunk = 64 * 1024;

function bytesIn(look: Look): number {
  const parts = 'stdout' in look || 'stderr' in look ? [look.stdout, look.stderr] : [];
  return parts.reduce((sum, part) => sum + ((part?.data.length ?? 0) * 3) / 4, 0);
}

/** Looks at one host for all its jobs, one look at a time, for as long as there are any. */
export class HostWatch {
  private readonly jobs = new Set<Watched>();
  private looping: Promise<void> | undefined;
  private wake: () => void = () => undefined;
  private isWanted = false;
  private failures = 0;
  private bytes = lookBytes;
  private lastTook = 0;

  constructor(
    private readonly host: TargetHost,
    private readonly calls: TargetCalls,
    private readonly log: Logger,
  ) {}

  get isIdle(): boolean {
    return this.jobs.size === 0;
  }

  add(job: Watched): void {
    this.jobs.add(job);
    this.soon();
    this.looping ??= this.loop().finally(() => (this.looping = undefined));
  }

  remove(job: Watched): void {
    this.jobs.delete(job);
    if (this.isIdle) this.wake();
  }

  soon(): void {
    this.isWanted = true;
    this.wake();
  }

  private async loop(): Promise<void> {
    for (; !this.isIdle; await this.pause()) {
      this.isWanted = false;
      const began = Date.now();
      await this.look();
      this.lastTook = Date.now() - began;
    }
  }

  private async look(): Promise<void> {
    const jobs = [...this.jobs];
    const chunk = Math.max(smallestChunk, Math.floor(this.bytes / jobs.length));
    try {
      const answer = await this.calls.look(
        this.host,
        jobs.map((job) => job.lookedAt(chunk)),
        this.bytes,
        uncancelled,
      );
      if (answer.status !== 'ok') return this.unanswered(jobs, answer.reason, answer.status === 'refused');
      this.failures = 0;
      const brought = answer.value.reduce((sum, look) => sum + bytesIn(look), 0);
      if (brought > Math.min(chunk, this.bytes) / 2) this.bytes = Math.min(lookBytes, Math.ceil(this.bytes * 1.25));
      await Promise.all(jobs.map((job, index) => this.tell(job, answer.value[index])));
    } catch (error) {
      this.log.warn({ err: error, host: this.host.host }, 'a host could not be asked');
      this.failed();
      for (const job of jobs) job.unasked((error as Error).message);
    }
  }

  private unanswered(jobs: Watched[], reason: string, isReached: boolean): void {
    this.failed();
    for (const job of jobs) job.unseen(reason, isReached);
  }

  private failed(): void {
    this.failures += 1;
    // It may be that its answer was too large for the way.
    this.bytes = Math.max(fewestBytes, Math.floor(this.bytes / 2));
  }

  private async tell(job: Watched, look: Look | undefined): Promise<void> {
    if (look === undefined || !this.jobs.has(job)) return;
    try {
      await job.seen(look);
    } catch (error) {
      this.log.error({ err: error, host: this.host.host }, 'what was seen of a job could not be taken in');
    }
  }

  private interval(): number {
    const jittered = (ms: number): number => ms * (1 + pace.jitter * (2 * Math.random() - 1));
    if (this.failures > 0)
      return jittered(pace.unreachable[Math.min(this.failures, pace.unreachable.length) - 1] ?? pace.most);
    const jobs = [...this.jobs];
    if (jobs.some(({ hasMore }) => hasMore)) return 0;
    const youngest = Math.min(...jobs.map(({ since }) => Date.now() - since));
    const most = isHere(this.host) ? pace.mostHere : pace.most;
    const wanted = Math.min(most, Math.max(pace.least, youngest * pace.share));
    return jittered(Math.max(wanted, Math.min(this.lastTook * pace.ofDuration, most)));
  }

  private async pause(): Promise<void> {
    if (this.isWanted || this.isIdle) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      timer = setTimeout(resolve, this.interval());
    });
    clearTimeout(timer);
    this.wake = () => undefined;
  }
}
