import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isErrno } from '../disk/errno.js';
import type { RunEvidence } from '../job/evidence.js';
import type { JobName } from '../job/names.js';
import type { ForegroundRun, JobMemo } from '../job/protocol.js';
import type { PlaybookSpec } from '../job/kinds/playbook.js';
import { DataFolderError } from '../node/data-folder.js';
import type { AttemptStore } from '../store/attempts.js';
import type { RunFolders } from '../store/run-folders.js';
import { Entering } from './entering.js';
import { evidenceOf, foregroundMemo } from './evidence.js';
import { jobOf, type ForegroundRecord, type Order } from './records.js';
import { end, holderOf, keyOf, place, runToTheEnd, type ForegroundTools } from './watch.js';

/** How often records are looked at whose owner may have died. */
const scanMs = 3_000;
const againMs = 1_000;
const lookMs = 250;

/** No slot is free for it; nothing was started. */
export class NoSlotError extends Error {
  override readonly name = 'NoSlotError';
}

/** There is too little space to take a job; nothing was started. */
export class NoSpaceError extends Error {
  override readonly name = 'NoSpaceError';
}

/** A job that has ended, as Temporal is to have it. */
export interface EndedJob {
  job: JobName;
  spec: PlaybookSpec;
  run: ForegroundRun;
  memo: NonNullable<JobMemo['foreground']>;
}

export interface ForegroundOptions extends ForegroundTools {
  nodeId: string;
  store: AttemptStore;
  folders: RunFolders;
  log: Logger;
  /** @throws DataFolderError when there is too little space on the disk to take an attempt */
  requireSpace: () => Promise<void>;
  /** How many jobs of a tenant may run; absent: any number. */
  tenantLimit?: number;
  /** Makes Temporal have a job; whether it has it now, closed. May be repeated. */
  enter: (ended: EndedJob, signal: AbortSignal) => Promise<boolean>;
}

/**
 * The jobs that run on this node while Temporal is away. Each has a record on the disk from before it starts until Temporal
 * has it, so that it survives the process that accepted it: the next one that serves this data folder takes it over.
 */
export class Foreground {
  readonly #options: ForegroundOptions;
  readonly #stopping = new AbortController();
  readonly #entering: Entering;
  /** What this process is at, by name. */
  readonly #accepting = new Set<string>();
  readonly #running = new Map<string, { ended: Promise<void>; trouble: string | null }>();
  readonly #ending = new Map<string, Promise<void>>();
  #turn: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #scanning: Promise<void> | undefined;

  constructor(options: ForegroundOptions) {
    this.#options = options;
    setMaxListeners(0, this.#stopping.signal);
    this.#entering = new Entering((name) => this.#enter(name), options.log, this.#stopping.signal);
  }

  /** Takes up what an earlier process has left, now and whenever another one dies. */
  start(): void {
    this.#timer = setInterval(() => this.#scanSoon(), scanMs);
    this.#scanSoon();
  }

  /** Stops watching and entering; what runs goes on. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping.abort();
    await this.#scanning;
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
    await Promise.all(this.#ending.values());
    await this.#entering.stopped();
  }

  /**
   * Starts a job whose name was made for it. It is accepted when its placement is on record; what dies before leaves nothing.
   * @param reason why it runs without Temporal
   * @throws NoSlotError, NoSpaceError
   */
  async accept({ tenant, playbookName, name }: JobName, spec: PlaybookSpec, reason: string): Promise<void> {
    const { records, nodeId, requireSpace } = this.#options;
    await requireSpace().catch(refuseForSpace);
    const created_at = new Date().toISOString();
    const order: Order = { tenant, playbook_name: playbookName, name, spec, node: nodeId, created_at, reason };
    this.#accepting.add(name);
    try {
      await records.create(order);
      await this.#takeSlot(order);
      await place(this.#options, order, 1, { placement: null, attempts: [], retry_at: null, outcome: null });
    } catch (error) {
      await this.#forget(order);
      throw error;
    } finally {
      this.#accepting.delete(name);
    }
    this.#run(order);
  }

  /** What is known of a job that Temporal doesn't have yet; undefined if there is none. */
  async evidence(job: JobName, runId = job.name): Promise<RunEvidence | undefined> {
    if (runId !== job.name) return undefined;
    const record = await this.#options.records.read(job.name);
    if (record?.progress == null) return undefined;
    const { tenant, playbookName } = jobOf(record.order);
    if (tenant !== job.tenant || playbookName !== job.playbookName) return undefined;
    const trouble = this.#running.get(job.name)?.trouble ?? null;
    return evidenceOf(record, record.progress, { tasksDone: await this.#tasksDone(record), trouble });
  }

  /** Has a job canceled: its processes are gone when its evidence says so. False if it has ended. */
  async cancel({ name }: JobName, reason: string): Promise<boolean> {
    const { records } = this.#options;
    if ((await records.read(name))?.progress?.outcome !== null) return false;
    try {
      await records.cancel({ name }, reason);
    } catch (error) {
      // Temporal has it now.
      if (isErrno(error, 'ENOENT')) return false;
      throw error;
    }
    this.#end(name);
    return true;
  }

  /** Waits until a job has ended; whether it has. One that is not here has. */
  async untilEnded(job: JobName, waitMs: number, signal: AbortSignal): Promise<boolean> {
    const until = Date.now() + waitMs;
    for (;;) {
      const record = await this.#options.records.read(job.name);
      if (record?.progress == null || record.progress.outcome !== null) return true;
      if (signal.aborted || Date.now() >= until) return false;
      const pause = delay(Math.min(lookMs, until - Date.now()));
      await Promise.race([pause, this.#running.get(job.name)?.ended ?? pause]);
    }
  }

  /** How many run, and how many have ended and are not in Temporal yet. */
  async counts(): Promise<{ running: number; to_enter: number }> {
    const { records } = this.#options;
    // One that can't be read is not in Temporal either; whoever takes it up says what is wrong.
    const isOpen = async (name: string): Promise<boolean | undefined> => {
      const progress = (await records.read(name).catch(() => ({ progress: { outcome: 'unreadable' } })))?.progress;
      return progress == null ? undefined : progress.outcome === null;
    };
    const open = await Promise.all((await records.names()).map(isOpen));
    return { running: open.filter((is) => is === true).length, to_enter: open.filter((is) => is === false).length };
  }

  /** One after another, or two jobs of a tenant could both be the last that its limit lets in. */
  #takeSlot(order: Order): Promise<void> {
    const mine = this.#turn.then(async () => {
      const { slots, tenantLimit } = this.#options;
      if (tenantLimit !== undefined) {
        const ofTenant = (await slots.taken()).filter(({ holder }) =>
          holder?.workflow_id.startsWith(`${order.tenant}/`),
        );
        if (ofTenant.length >= tenantLimit)
          throw new NoSlotError(`${tenantLimit} job(s) of its tenant are running, which is the limit`);
      }
      if (!(await slots.take(holderOf(order, 1)))) throw new NoSlotError(`all ${slots.limit} slot(s) are taken`);
    });
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  #run(order: Order): void {
    const { name } = order;
    if (this.#running.has(name)) return;
    const running = { ended: Promise.resolve(), trouble: null as string | null };
    this.#running.set(name, running);
    const note = (why: string | null): void => {
      running.trouble = why;
    };
    running.ended = this.#runUntilEnded(order, note).finally(() => this.#running.delete(name));
  }

  async #runUntilEnded(order: Order, note: (why: string | null) => void): Promise<void> {
    const { signal } = this.#stopping;
    while (!this.#isStopping()) {
      try {
        await runToTheEnd(this.#options, order, note, signal);
        this.#entering.add(order.name);
        return;
      } catch (error) {
        if (this.#isStopping()) return;
        this.#options.log.error({ err: error, name: order.name }, 'a job in the foreground is held up; trying again');
        note((error as Error).message);
        await delay(againMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** Ends the attempt of a job that is canceled, as often as it takes. */
  #end(name: string): void {
    if (this.#ending.has(name)) return;
    this.#ending.set(
      name,
      this.#endUntilGone(name).finally(() => this.#ending.delete(name)),
    );
  }

  async #endUntilGone(name: string): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        const record = await this.#options.records.read(name);
        const placement = record?.progress?.placement;
        // Between two attempts whoever places them looks for a cancel.
        if (record?.cancel == null || placement == null) return;
        await end(this.#options, record.order, placement.attempt, record.cancel);
        return;
      } catch (error) {
        this.#options.log.warn({ err: error, name }, 'a job in the foreground could not be ended; trying again');
        const running = this.#running.get(name);
        if (running !== undefined) running.trouble = (error as Error).message;
        await delay(againMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #enter(name: string): Promise<boolean> {
    const { records, enter } = this.#options;
    const record = await records.read(name);
    const outcome = record?.progress?.outcome;
    // Another process has had it entered.
    if (record?.progress == null || outcome == null) return true;
    const { order, progress } = record;
    const run = { attempts: progress.attempts, outcome };
    const ended = { job: jobOf(order), spec: order.spec, run, memo: foregroundMemo(order) };
    if (!(await enter(ended, this.#stopping.signal))) return false;
    await records.remove(order);
    return true;
  }

  #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  #scanSoon(): void {
    this.#scanning ??= this.#scan()
      .catch((error: unknown) => this.#options.log.error({ err: error }, 'jobs in the foreground were not looked at'))
      .finally(() => (this.#scanning = undefined));
  }

  async #scan(): Promise<void> {
    const { records, log } = this.#options;
    for (const name of await records.names()) {
      if (this.#stopping.signal.aborted) return;
      try {
        await this.#takeUp(name);
      } catch (error) {
        log.error({ err: error, name }, 'a job in the foreground could not be taken up; trying again');
      }
    }
  }

  async #takeUp(name: string): Promise<void> {
    if (this.#accepting.has(name)) return;
    const { records, nodeId } = this.#options;
    const record = await records.read(name);
    // One of another node came here with a copy of its data folder.
    if (record?.order.node !== nodeId || !(await records.own(record.order))) return;
    // It was never accepted: nobody was told of it, and nothing of it was started.
    if (record.progress === null) {
      // Unless this process has been at it between the two looks.
      if (!this.#accepting.has(name) && (await records.read(name))?.progress === null) await this.#forget(record.order);
      return;
    }
    if (record.progress.outcome !== null) {
      this.#entering.add(name);
      return;
    }
    this.#run(record.order);
    if (record.cancel !== null) this.#end(name);
  }

  /** Leaves nothing of a job that was not accepted. */
  async #forget(order: Order): Promise<void> {
    const { folders, slots, records } = this.#options;
    await folders.remove(jobOf(order), order.name);
    await slots.release(holderOf(order, 1));
    await records.remove(order);
  }

  async #tasksDone({ order, progress }: ForegroundRecord): Promise<number> {
    if (progress?.placement == null) return 0;
    const output = await this.#options.store.output(keyOf(order, progress.placement.attempt));
    return (await output?.work())?.done ?? 0;
  }
}

function refuseForSpace(error: unknown): never {
  throw error instanceof DataFolderError ? new NoSpaceError(error.message, { cause: error }) : error;
}
