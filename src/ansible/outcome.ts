import type { Failure } from '../job/failure.js';
import type { HostStats, Outcome, Stats } from '../job/outcome.js';
import type { Look } from './look.js';
import type { Result, TaskFailure } from './records.js';

/** What Temporal is asked to keep of a run's statistics: some 3,000 hosts. */
const statsBytes = 400_000;
/** How much of what a failed task said is told beside it. */
const messageCharacters = 200;

/** A look that says how the attempt ended. */
export type FinalLook = Extract<Look, { state: 'finished' | 'void' }>;

/** The outcome that the evidence of an ended attempt stands for. */
export function outcomeOf(seen: FinalLook, reason: string): Outcome {
  return seen.state === 'void' ? neverStarted(seen.cause, seen.reason) : finished(seen, reason);
}

/** The outcome of an attempt whose folder is gone: it is not started any more (R1); whether it was, nobody can tell. */
export function outcomeOfAbsent(): Outcome {
  return {
    status: 'failed',
    failure: { kind: 'lost', message: 'Its attempt folder is gone, with all that told whether it ran' },
    ...unknownEnd(),
  };
}

function neverStarted(cause: string, reason: string): Outcome {
  const ended = unknownEnd();
  if (cause === 'launch')
    return { status: 'failed', failure: { kind: 'launch', message: `It could not be started: ${reason}` }, ...ended };
  if (cause === 'lost')
    return { status: 'failed', failure: { kind: 'lost', message: `It was never started: ${reason}` }, ...ended };
  return { status: 'canceled', reason: reason || 'before it started', ...ended };
}

function unknownEnd(): Omit<Extract<Outcome, { status: 'successful' }>, 'status'> {
  return { rc: null, stats: {}, started_at: null, finished_at: new Date().toISOString(), leftovers: [] };
}

function finished({ result, startedAt }: Extract<Look, { state: 'finished' }>, reason: string): Outcome {
  const ended = {
    rc: result.rc,
    stats: boundedStats(result.stats),
    started_at: startedAt?.toISOString() ?? null,
    finished_at: new Date(Math.max(result.at * 1000, startedAt?.getTime() ?? 0)).toISOString(),
    leftovers: result.leftovers,
    ...(Object.keys(result.outputs).length > 0 && { outputs: result.outputs }),
    ...(Object.keys(result.outputs_omitted).length > 0 && { outputs_omitted: result.outputs_omitted }),
  };
  if (result.cause === 'cancel' || result.cause === 'terminated') return { status: 'canceled', reason, ...ended };
  const failure = failureOf(result);
  return failure === undefined ? { status: 'successful', ...ended } : { status: 'failed', failure, ...ended };
}

/** Statistics of at most `statsBytes`; of more hosts than fit, those that failed come first. */
function boundedStats(stats: Stats): Stats {
  const trouble = ([, host]: [string, HostStats]): number => host.failures + host.unreachable;
  let left = statsBytes;
  const fitting = Object.entries(stats)
    .sort((one, other) => trouble(other) - trouble(one))
    .filter((entry) => (left -= JSON.stringify(entry).length) > 0);
  return Object.fromEntries(fitting);
}

function failureOf({ rc, signal, cause, storage, launch, lost, failure, stats }: Result): Failure | undefined {
  if (launch !== undefined) return { kind: 'launch', message: `It could not be started: ${launch}` };
  if (cause === 'timeout') return { kind: 'timed_out', message: 'Its timeout passed; its processes were killed' };
  if (typeof lost === 'string') return { kind: 'lost', message: lost };
  if (storage !== null) {
    const why = storage.reason ?? 'the disk refused it';
    return {
      kind: 'storage',
      message: `${storage.lost_bytes} bytes of its output or events were lost (${why}); rc is ${rc ?? 'unknown'}`,
    };
  }
  if (signal !== null) return { kind: 'killed', message: `ansible-playbook was ended by signal ${signal}`, signal };
  if (rc === null) return { kind: 'lost', message: 'It ended, and its exit status is not known' };
  if (rc === 0) return undefined;
  const what = failure == null ? '' : `: ${whatFailed(failure, stats)}`;
  return { kind: 'exit', message: `ansible-playbook ended with rc ${rc}${what}` };
}

/** The first failure in one line, and how many hosts more have failed. */
function whatFailed({ event, task, host, message }: TaskFailure, stats: Stats): string {
  const what = event === 'failed' ? `task ${task} on ${host} failed` : `host ${host} was unreachable at task ${task}`;
  const said = message === null ? '' : `: ${inOneLine(message)}`;
  const hosts = Object.values(stats).filter(({ failures, unreachable }) => failures + unreachable > 0).length;
  return `${what}${said}${hosts > 1 ? ` (and ${hosts - 1} more host${hosts > 2 ? 's' : ''})` : ''}`;
}

function inOneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= messageCharacters ? line : `${line.slice(0, messageCharacters - 1)}…`;
}
