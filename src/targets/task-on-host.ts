import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { NotEndedError } from '../ansible/watch.js';
import type { TargetResult } from '../job/outcome.js';
import { notStarted } from '../job/progress.js';
import { isGivenUp } from '../job/target-outcome.js';
import type { Launch, LookedAt, TargetCalls, ToEnd } from './calls.js';
import type { AdoptedPlace, OwnPlace, TargetHost } from './host.js';
import type { EndedJob, Look, TaskResult } from './looks.js';
import type { HostOutput } from './output.js';
import { failed, resultOfFinished, resultOfVoid, timeOf } from './results.js';
import type { Watches } from './watches.js';

/** How much later than the host's own supervisor a timeout is enforced, beyond two graces. */
const secondInLineMs = 20_000;
/** For so long a start is tried of which the host can't tell what became of it. */
const unstartableMs = 120_000;

const anotherAnswers = 'another machine answers under its name, and has nothing of it';

/** How long a host is away until what an earlier watcher saw of its end is taken, with the output that is there. */
const goneMs = 200_000;

/** What it takes to run a job on hosts. */
export interface TargetTools {
  calls: TargetCalls;
  watches: Watches;
  log: Logger;
  /** Between the two looks before the verdicts `lost` and `orphaned`. */
  confirmIntervalMs: number;
  killGraceMs: number;
}

/** A job on one host. */
export interface HostTask {
  host: TargetHost;
  place: OwnPlace | AdoptedPlace;
  marker: string;
  /** How it is launched; nothing for a job that somebody else has started. */
  launch: Launch | null;
  /** Seconds from the start; null: none. */
  timeout: number | null;
  unreachableAfterMs: number;
  /** How it stood when an earlier watcher told. */
  before: Standing;
  /** When it was placed, ms since 1970. */
  since: number;
  output: HostOutput;
}

/** How a job stands on its host. */
export interface Standing {
  result: TargetResult;
  /** ms since 1970. */
  unreachableSince: number | null;
  /** Since when its host answers and can't see how it stands, ms since 1970. */
  unclearSince: number | null;
}

/**
 * Brings a job on one host from wherever it stands to its end: launches it if nobody has, watches it, and returns how it ended. Any number
 * may do so at once: the records on the host decide, not they (R1-R3).
 * @param observe told at every change
 * @param signal ends the watching; nothing of the job ends by it
 */
export async function runOnHost(
  tools: TargetTools,
  task: HostTask,
  observe: (standing: Standing) => void,
  signal: AbortSignal,
): Promise<TargetResult> {
  const watcher = new Watcher(tools, task, observe, signal);
  const stop = tools.watches.add(task.host, watcher);
  try {
    return await watcher.result;
  } finally {
    stop();
  }
}

/** Its host can't be reached, or can't see whether anything is left. */
export class UnclearEndError extends NotEndedError {}

/** Its host answers, and can't see whether anything is left. */
class UnseenEndError extends UnclearEndError {}

/**
 * Ends a job on its host and verifies it.
 * @throws NotEndedError while something of it is left, or the host can't be reached
 */
export async function endOnHost(
  { calls, watches }: Pick<TargetTools, 'calls' | 'watches'>,
  { host, place, marker }: Pick<HostTask, 'host' | 'place' | 'marker'>,
  { cause, reason, graceMs }: { cause: string; reason: string; graceMs: number },
  signal: AbortSignal,
): Promise<void> {
  const grace = graceMs / 1000;
  const job: ToEnd =
    'dir' in place ? { dir: place.dir, marker, cause, reason, grace } : { adopt: place.adopted, grace };
  const answer = await calls.end(host, job, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    throw new UnclearEndError(`${host.host}: ${(error as Error).message}`, { cause: error });
  });
  if (answer.status !== 'ok') throw new UnclearEndError(`${host.host}: ${answer.reason}`);
  if (isAnother(place, answer.value.machine)) throw new UnclearEndError(`${host.host}: ${anotherAnswers}`);
  refuseLeft(host.host, answer.value);
  watches.soon(host);
}

/** Whether another machine than the one it was prepared on has nothing of it. Unless both say which they are, that isn't known. */
function isAnother(place: HostTask['place'], machine: string | null | undefined): boolean {
  return 'machine' in place && Boolean(place.machine && machine) && place.machine !== machine;
}

function refuseLeft(host: string, ended: EndedJob): void {
  if (ended.unknown !== null) throw new UnseenEndError(`${host}: ${ended.unknown}`);
  if (ended.left.length === 0) return;
  const named = ended.left.slice(0, 10).map(({ pid, command }) => `pid ${pid} (${command})`);
  throw new NotEndedError(`${host}: ${ended.left.length} process(es) can't be killed: ${named.join(', ')}`);
}

class Watcher {
  readonly since: number;
  readonly result: Promise<TargetResult>;
  private settle: (result: TargetResult) => void = () => undefined;
  private standing: Standing;
  /** What was seen once that needs a second look before it counts. */
  private suspected: { state: string; at: number } | null = null;
  private isActing = false;
  private unlaunchedSince: number | null = null;
  /** Since when it is to be ended, and it isn't known whether anything is left. */
  private heldUpSince: number | null = null;
  /** How it ended, while its output is still copied. */
  private ended: TargetResult | null = null;
  /** Whether nothing is left of what was cut short. */
  private isCleared = false;
  /** How an earlier watcher saw that it ended. */
  private readonly known: TargetResult | null;
  /** That an earlier watcher had waited for its host long enough. */
  private givenUp: TargetResult | null;

  constructor(
    private readonly tools: TargetTools,
    private readonly task: HostTask,
    private readonly observe: (standing: Standing) => void,
    private readonly signal: AbortSignal,
  ) {
    this.since = task.since;
    this.standing = task.before;
    const { result } = task.before;
    const ended = result.finished_at === null ? null : result;
    this.givenUp = ended !== null && isGivenUp(ended) ? ended : null;
    this.known = this.givenUp === null ? ended : null;
    this.result = new Promise((resolve, reject) => {
      this.settle = resolve;
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      if (signal.aborted) reject(signal.reason as Error);
    });
  }

  lookedAt(chunk: number): LookedAt {
    const { place, marker, output } = this.task;
    const part = { ...output.offsets, chunk };
    return 'dir' in place ? { dir: place.dir, marker, ...part } : { adopt: place.adopted, ...part };
  }

  get hasMore(): boolean {
    return this.task.output.hasMore;
  }

  unseen(reason: string, isReached = false): void {
    if (this.givenUp !== null) return this.settle(this.givenUp);
    const { unclearSince } = this.standing;
    const since = this.standing.unreachableSince ?? Date.now();
    if (this.known !== null && Date.now() - since >= goneMs) return this.settle(this.known);
    const trouble = isReached ? "can't be looked at" : "can't be reached";
    this.tell({ ...this.standing.result, message: `${trouble}: ${reason}` }, { unreachableSince: since, unclearSince });
    if (Date.now() - since < this.task.unreachableAfterMs) return;
    const message = `Nothing was heard of it since ${new Date(since).toISOString()}: ${reason}`;
    this.settle(this.ended ?? failed({ kind: 'unreachable', message }, this.standing.result));
  }

  unasked(reason: string): void {
    const { result, unreachableSince, unclearSince } = this.standing;
    const message = `can't be looked at from here: ${reason}`;
    this.tell({ ...result, message }, { unreachableSince, unclearSince: unclearSince ?? Date.now() });
  }

  async seen(look: Look): Promise<void> {
    const { place } = this.task;
    if (look.state === 'absent' && isAnother(place, look.machine)) return this.unseen(anotherAnswers);
    this.givenUp = null;
    const { result, unreachableSince, unclearSince } = this.standing;
    if (unreachableSince !== null) this.tell({ ...result, message: null }, { unclearSince });
    if ('stdout' in look || 'stderr' in look) await this.task.output.take(look);
    switch (look.state) {
      case 'ready':
      case 'never_began':
        this.tell(notStarted);
        this.act(() => this.launch());
        return;
      case 'claimed':
        return this.tell({ ...notStarted, message: look.message ?? null }, this.clarityOf(look));
      case 'running':
        return this.running(look);
      case 'unreadable':
        return this.tell({ ...this.standing.result, message: look.why }, this.clarityOf({ unknown: true }));
      case 'gone':
        return this.twice(look.state, () => this.conclude(look));
      case 'absent':
        return this.twice(look.state, () => this.concludeAbsent(look));
      case 'void':
        return this.settle(this.ended ?? this.known ?? this.endOfVoid(look));
      case 'finished':
        return this.finished(look);
    }
  }

  private running(look: Extract<Look, { state: 'running' }>): void {
    const { started_at, job_id, message } = look;
    this.suspected = null;
    // What lives on after its end, and after its records, is not the job.
    const ended = this.ended ?? this.known;
    if (ended !== null) return this.settle(ended);
    const known = { ansible_job_id: job_id, started_at: this.startOf(started_at) };
    this.tell({ ...notStarted, ...known, status: 'running', message }, this.clarityOf(look));
    if (this.isOverdue(look)) this.act(() => this.timeOut());
  }

  /** Of what can't be seen it counts that it runs (R9), until an operator says otherwise (R4). */
  private clarityOf({ unknown }: { unknown?: boolean | undefined }): Partial<Standing> {
    const isUnclear = unknown === true || this.heldUpSince !== null;
    return isUnclear ? { unclearSince: this.standing.unclearSince ?? this.heldUpSince ?? Date.now() } : {};
  }

  private finished(look: Extract<Look, { state: 'finished' }>): void {
    this.suspected = null;
    if (this.mayHaveLeft(look.result) && !this.isCleared) return this.act(() => this.clear(look.result));
    this.ended = this.endOf(look);
    if (this.task.output.isWhole(look.result)) this.settle(this.ended);
  }

  /** What was seen of its end before tells more than a record that nothing was left to tell. */
  private endOf(look: Extract<Look, { state: 'finished' }>): TargetResult {
    const before = this.ended ?? this.known;
    if (before !== null && typeof look.result.lost === 'string') return before;
    const result = resultOfFinished(look);
    return { ...result, started_at: result.started_at ?? this.standing.result.started_at };
  }

  /** Nothing was started, or nothing is left that tells of it. */
  private endOfVoid(look: Extract<Look, { state: 'void' }>): TargetResult {
    const { result } = this.standing;
    if (look.cause !== 'lost' || result.started_at === null) return resultOfVoid(look);
    return failed({ kind: 'lost', message: look.reason }, result);
  }

  /** Whether it was cut short, and its supervisor may have been killed before it had ended the rest. Whoever cancels sees to that. */
  private mayHaveLeft({ cause, signal }: TaskResult): boolean {
    return 'dir' in this.task.place && (cause === 'timeout' || (cause === null && signal !== null));
  }

  /** Only a timeout waits where nobody can see whether something is left (R10). */
  private async clear({ cause }: TaskResult): Promise<void> {
    try {
      await this.end('lost', 'the record of how it ended is gone');
    } catch (error) {
      if (cause === 'timeout' || !(error instanceof UnseenEndError)) throw error;
      this.tools.log.warn({ err: error, host: this.task.host.host }, 'a killed job may have left something');
    }
    this.isCleared = true;
  }

  /** Of what was adopted only its processes tell, while it has any, and by the clock of each look. */
  private startOf(seconds: number | null): string | null {
    return 'dir' in this.task.place ? timeOf(seconds) : (this.standing.result.started_at ?? timeOf(seconds));
  }

  /** A verdict from what is not there needs two looks apart (R9). */
  private twice(state: string, conclude: () => Promise<void>): void {
    const { confirmIntervalMs } = this.tools;
    if (this.suspected?.state !== state) this.suspected = { state, at: Date.now() };
    if (Date.now() - this.suspected.at >= confirmIntervalMs) return this.act(conclude);
    void delay(confirmIntervalMs).then(() => this.tools.watches.soon(this.task.host));
  }

  private async launch(): Promise<void> {
    const { host, launch } = this.task;
    if (launch === null) return;
    const answer = await this.tools.calls.launch(host, launch, this.signal);
    const { unreachableAfterMs } = this.task;
    if (answer.status === 'unreachable')
      return this.unlaunched(unreachableAfterMs, answer.reason, () => this.unseen(answer.reason));
    // A start that can't be had is put on record as void, if it is not on record as anything else.
    if (answer.status === 'refused') return this.end('launch', answer.reason);
    const { failed, msg: message = 'it failed without a message', longhaul } = answer.value;
    if (!failed) return;
    if (longhaul.claim !== 'unknown') return this.end('launch', message);
    return this.unlaunched(unstartableMs, message, () => this.tell({ ...this.standing.result, message }));
  }

  /** It may have been launched, or be another time: looks tell, and may be answered all the while. */
  private async unlaunched(patienceMs: number, reason: string, tell: () => void): Promise<void> {
    this.unlaunchedSince ??= Date.now();
    if (Date.now() - this.unlaunchedSince < patienceMs) return tell();
    const since = new Date(this.unlaunchedSince).toISOString();
    return this.end('launch', `no launch was answered since ${since}: ${reason}`);
  }

  /** It started, and neither a process nor a result is left of it: stragglers are ended, and that is put on record, which has the verdict. */
  private async conclude(look: Extract<Look, { state: 'gone' }>): Promise<void> {
    if ('dir' in this.task.place) return this.end(look.kind, look.why);
    const known = { ansible_job_id: look.job_id, started_at: this.startOf(look.started_at) };
    // Whoever started what was adopted may remove its file at any time.
    this.settle(this.ended ?? this.known ?? failed({ kind: look.kind, message: look.why }, known));
  }

  private async concludeAbsent({ machine }: Extract<Look, { state: 'absent' }>): Promise<void> {
    const why = 'its records on the host are gone, with all that told whether it ran';
    await this.end('lost', why);
    // Its folder is there, and has a verdict now.
    if (machine === undefined) return;
    this.settle(this.ended ?? this.known ?? failed({ kind: 'lost', message: why }));
  }

  private async timeOut(): Promise<void> {
    if ('dir' in this.task.place) return this.end('timeout', 'its timeout passed');
    // What somebody else started is not killed for our limit.
    const message = 'its timeout passed; it was not started here, so it was left running';
    this.settle(failed({ kind: 'timed_out', message }, this.standing.result));
  }

  private end(cause: string, reason: string): Promise<void> {
    const graceMs = this.tools.killGraceMs;
    return endOnHost(this.tools, this.task, { cause, reason, graceMs }, this.signal);
  }

  /** One action at a time; it doesn't hold up the looks at other jobs. */
  private act(action: () => Promise<void>): void {
    if (this.isActing) return;
    this.isActing = true;
    void action()
      .then(() => {
        this.heldUpSince = null;
        this.tools.watches.soon(this.task.host);
      })
      .catch((error: unknown) => {
        if (this.signal.aborted) return;
        this.tools.log.warn({ err: error, host: this.task.host.host }, 'a job on a host is held up; trying again');
        const { result, unreachableSince, unclearSince } = this.standing;
        if (error instanceof UnclearEndError) this.heldUpSince ??= Date.now();
        const since = { unreachableSince, unclearSince: unclearSince ?? this.heldUpSince };
        this.tell({ ...result, message: (error as Error).message }, since);
      })
      .finally(() => {
        this.isActing = false;
      });
  }

  private isOverdue({ running_for, supervised }: Extract<Look, { state: 'running' }>): boolean {
    const { timeout, place } = this.task;
    if (timeout === null) return false;
    // Of what was adopted the time counts from its adoption.
    if (!('dir' in place)) return Date.now() - this.since > timeout * 1000;
    const extra = supervised === true ? 2 * this.tools.killGraceMs + secondInLineMs : 0;
    return (running_for ?? 0) * 1000 > timeout * 1000 + extra;
  }

  private tell(result: TargetResult, since: Partial<Standing> = {}): void {
    const before = JSON.stringify(this.standing);
    this.standing = { result, unreachableSince: null, unclearSince: null, ...since };
    if (JSON.stringify(this.standing) !== before) this.observe(this.standing);
  }
}
