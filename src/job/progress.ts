import type { HostStats, TargetResult, Tasks } from './outcome.js';
import type { RunHeartbeat } from './protocol.js';
import { troubleOf } from './target-outcome.js';

/** Heartbeats go to Temporal's database again and again. */
const timesOfHosts = 500;
const targetsBytes = 2_000;
const shortMessage = 80;
/** How many hosts are known that have ended, besides those that are told in whole. */
export const mostEndedHosts = 500;

/** How far an attempt is. The unit of work is one task on one host. */
export interface LiveProgress {
  /** From 0 to 99, never less than before in this attempt; null while unknown. */
  percent: number | null;
  tasksDone: number;
  /** Those that are done, and those that are known to come; null while unknown. */
  tasksTotal: number | null;
  /** What it does now, in one line. */
  message: string | null;
  hosts: Record<string, HostStats>;
  /** Of what runs on target hosts. */
  targets: Record<string, TargetResult>;
  /** When it will likely have ended, by earlier runs, RFC 3339; null if there were none. */
  eta: string | null;
}

export const unknownProgress: LiveProgress = {
  percent: null,
  tasksDone: 0,
  tasksTotal: null,
  message: null,
  hosts: {},
  targets: {},
  eta: null,
};

export const noCounts: HostStats = {
  ok: 0,
  changed: 0,
  unreachable: 0,
  failures: 0,
  skipped: 0,
  rescued: 0,
  ignored: 0,
};

/** A host of which nothing is known yet. */
export const notStarted: TargetResult = {
  status: 'pending',
  failure: null,
  rc: null,
  changed: null,
  ansible_job_id: null,
  message: null,
  started_at: null,
  finished_at: null,
};

/** Of a host where it had not started when its job was canceled. @param at RFC 3339 */
export function canceledBeforeStart(at: string): TargetResult {
  return { ...notStarted, status: 'canceled', message: 'before it started', finished_at: at };
}

/**
 * As many hosts as have room, those in trouble first, without what is not known.
 * @param ended of so many others, too, that it has ended there and how: a host that has gone since doesn't tell it again
 */
export function targetsTold(targets: Record<string, TargetResult>, ended = 0): Record<string, Partial<TargetResult>> {
  const rank = (result: TargetResult): number => troubleOf(result) + (result.status === 'pending' ? 0 : 0.5);
  const encoder = new TextEncoder();
  let left = targetsBytes;
  const ranked = Object.entries(targets).sort(([, one], [, other]) => rank(other) - rank(one));
  const fitting = ranked
    .map(([host, result]): [string, Partial<TargetResult>] => [
      host,
      Object.fromEntries(
        // What it left running may be a lot, and can wait for the outcome.
        Object.entries({ ...result, leftovers: undefined }).filter(
          ([name, value]) => value !== notStarted[name as keyof TargetResult],
        ),
      ),
    ])
    .filter((entry) => left > 0 && (left -= encoder.encode(JSON.stringify(entry)).length) > 0);
  const more = ranked.slice(fitting.length).filter(([, { finished_at }]) => finished_at !== null);
  return Object.fromEntries([...more.slice(0, ended).map(inShort), ...fitting]);
}

function inShort([host, { status, failure, rc, finished_at }]: [string, TargetResult]): [
  string,
  Partial<TargetResult>,
] {
  const short = failure && { ...failure, message: failure.message.slice(0, shortMessage) };
  return [host, { status, ...(short !== null && { failure: short }), ...(rc !== null && { rc }), finished_at }];
}

/** Since when something is so with hosts, of as many as a heartbeat has room for. @param hosts with ms since 1970; null: it is not so */
export function timesTold(hosts: [string, number | null][]): Record<string, string> | undefined {
  const told = hosts.flatMap(([host, since]) => (since === null ? [] : [[host, new Date(since).toISOString()]]));
  return told.length === 0 ? undefined : (Object.fromEntries(told.slice(0, timesOfHosts)) as Record<string, string>);
}

/** What the heartbeats of an attempt tell that is watched in several parts, each for some of its hosts. */
export function progressOfAll(heartbeats: (RunHeartbeat | null)[]): LiveProgress {
  const [first = unknownProgress, ...others] = heartbeats.map(progressOf);
  if (others.length === 0) return first;
  const parts = [first, ...others];
  const tasksDone = parts.reduce((sum, part) => sum + part.tasksDone, 0);
  const totals = parts.map(({ tasksTotal }) => tasksTotal);
  // By those alone that were heard, the share would be taken back.
  const tasksTotal = totals.every((total) => total !== null) ? totals.reduce((sum, total) => sum + total, 0) : null;
  return {
    ...first,
    percent: tasksTotal === null || tasksTotal === 0 ? null : Math.min(99, Math.floor((tasksDone / tasksTotal) * 100)),
    tasksDone,
    tasksTotal,
    message: parts.find(({ message }) => message !== null)?.message ?? null,
    targets: Object.assign({}, ...parts.map(({ targets }) => targets)) as LiveProgress['targets'],
  };
}

/** What a heartbeat tells; it may be one of an earlier version. */
function progressOf(heartbeat: RunHeartbeat | null | undefined): LiveProgress {
  if (heartbeat == null) return unknownProgress;
  const { percent = null, tasks_done: tasksDone, tasks_total: tasksTotal = null, message, eta = null } = heartbeat;
  const hosts = Object.entries(heartbeat.hosts ?? {}).map(([host, counts]) => [host, { ...noCounts, ...counts }]);
  const targets = Object.entries(heartbeat.targets ?? {}).map(([host, told]) => [host, { ...notStarted, ...told }]);
  return {
    percent,
    tasksDone,
    tasksTotal,
    message,
    eta,
    hosts: Object.fromEntries(hosts) as LiveProgress['hosts'],
    targets: Object.fromEntries(targets) as LiveProgress['targets'],
  };
}

/** How far it had come by a heartbeat; null if that doesn't tell. */
export function tasksOf(heartbeat: RunHeartbeat | null | undefined): Tasks | null {
  if (heartbeat?.started_at == null) return null;
  return { done: heartbeat.tasks_done, total: heartbeat.tasks_total ?? null };
}
