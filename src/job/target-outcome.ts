import type { Failure, FailureKind } from './failure.js';
import type { LeftProcess, Outcome, TargetResult } from './outcome.js';
import type { JobKind } from './spec.js';

/** What Temporal is asked to keep of a run's hosts. */
const targetsBytes = 400_000;
const namedHosts = 10;
const mostLeftovers = 50;

/**
 * How a job on target hosts ended: successful only if all hosts are.
 * @param failsWithGivenUp whether that counts for this run; asked only where it matters
 */
export function outcomeOfTargets(
  targets: Record<string, TargetResult>,
  at: string,
  failsWithGivenUp: () => boolean = () => true,
): Outcome {
  const results = Object.values(targets);
  const ended = {
    rc: rcOf(results),
    stats: {},
    ...boundedTargets(targets),
    started_at: earliest(results),
    finished_at: latest(results) ?? at,
    leftovers: leftoversOn(targets).slice(0, mostLeftovers),
  };
  // Where hosts were given up, nobody can say that nothing of it lives.
  const isCanceled = results.some(({ status }) => status === 'canceled');
  if (isCanceled && !(results.some(isGivenUp) && failsWithGivenUp()))
    return { status: 'canceled', reason: 'on request', ...ended };
  const failure = failureOf(targets);
  return failure === undefined ? { status: 'successful', ...ended } : { status: 'failed', failure, ...ended };
}

function leftoversOn(targets: Record<string, TargetResult>): LeftProcess[] {
  return Object.entries(targets).flatMap(([host, { leftovers = [] }]) => leftovers.map((left) => ({ ...left, host })));
}

/** Whether it is not known how it ended there: it was not waited for any more. */
export function isGivenUp({ failure }: Pick<TargetResult, 'failure'>): boolean {
  return failure?.kind === 'unreachable' || failure?.kind === 'node_lost';
}

/** The hosts on which it ran and was watched to its end, so that some node has all that it printed there. */
export function hostsWatchedToEnd(kind: JobKind, targets: Record<string, TargetResult>): string[] {
  const hosts = Object.entries(targets).filter(([, result]) => {
    const { status, started_at, rc } = result;
    const hasRun = started_at !== null || rc !== null || status === 'successful';
    // What was adopted is left as it is when its job is canceled.
    const isLeft = kind === 'adopt' && status === 'canceled';
    return hasRun && !isLeft && !isGivenUp(result);
  });
  return hosts.map(([host]) => host);
}

/** The hosts that failed, if each did so in a way that is worth another attempt; else none. */
export function hostsToRetry(targets: Record<string, TargetResult>, kinds: readonly FailureKind[]): string[] {
  const failed = Object.entries(targets).filter(([, { failure }]) => failure !== null);
  return failed.every(([, { failure }]) => failure !== null && kinds.includes(failure.kind))
    ? failed.map(([host]) => host)
    : [];
}

/**
 * What somebody else started has no record of its own that it was ended on request: its death by a signal, or without an answer, is that.
 * @param asked when that was asked for, RFC 3339
 */
export function endedByCancel(targets: Record<string, TargetResult>, asked: string): Record<string, TargetResult> {
  const died: FailureKind[] = ['killed', 'orphaned', 'lost'];
  return Object.fromEntries(
    Object.entries(targets).map(([host, result]) => {
      const { failure, rc, finished_at } = result;
      // A module that fails without an answer does so by itself, too.
      const isAfter = finished_at === null || Date.parse(finished_at) >= Date.parse(asked);
      const isUnanswered = failure?.kind === 'exit' && rc === null && isAfter;
      if (failure === null || !(isUnanswered || died.includes(failure.kind))) return [host, result];
      return [host, { ...result, status: 'canceled', failure: null, message: 'nothing of it runs any more' }];
    }),
  );
}

/** As many hosts as fit, those in trouble first. */
function boundedTargets(targets: Record<string, TargetResult>): Pick<Outcome, 'targets' | 'targets_omitted'> {
  let left = targetsBytes;
  const fitting = Object.entries(targets)
    .sort(([, one], [, other]) => troubleOf(other) - troubleOf(one))
    .filter((entry) => (left -= JSON.stringify(entry).length) > 0);
  const omitted = Object.keys(targets).length - fitting.length;
  return { targets: Object.fromEntries(fitting), ...(omitted > 0 && { targets_omitted: omitted }) };
}

/** How much a host deserves to be shown before others. */
export function troubleOf({ status, message }: Pick<TargetResult, 'status' | 'message'>): number {
  if (status === 'failed') return 3;
  if (status === 'canceled') return 2;
  return message === null ? 0 : 1;
}

function failureOf(targets: Record<string, TargetResult>): Failure | undefined {
  const entries = Object.entries(targets);
  const failed = entries.flatMap(([host, { failure }]) => (failure === null ? [] : [{ host, failure }]));
  const [first] = failed;
  if (first === undefined) return undefined;
  const { kind, signal } = first.failure;
  if (entries.length === 1) return { ...first.failure, message: `${first.host}: ${first.failure.message}` };
  const named = failed.slice(0, namedHosts).map(({ host, failure }) => `${host} (${failure.kind}: ${failure.message})`);
  const more = failed.length > namedHosts ? ', ...' : '';
  const message = `${failed.length} of ${entries.length} hosts failed: ${named.join(', ')}${more}`;
  return { kind, message, ...(signal !== undefined && { signal }) };
}

/** That of a host which failed, if any has; else of any. */
function rcOf(results: TargetResult[]): number | null {
  const failed = results.filter(({ status }) => status === 'failed');
  const those = failed.length > 0 ? failed : results;
  return those.find(({ rc }) => rc !== null)?.rc ?? null;
}

function earliest(results: TargetResult[]): string | null {
  return sorted(results.map(({ started_at }) => started_at))[0] ?? null;
}

function latest(results: TargetResult[]): string | undefined {
  return sorted(results.map(({ finished_at }) => finished_at)).at(-1);
}

function sorted(times: (string | null)[]): string[] {
  return times.filter((time) => time !== null).sort((one, other) => Date.parse(one) - Date.parse(other));
}
