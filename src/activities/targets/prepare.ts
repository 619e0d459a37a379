import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { TargetResult } from '../../job/outcome.js';
import type { TaskSpec } from '../../job/kinds/task.js';
import { canceledBeforeStart, notStarted, targetsTold, timesTold } from '../../job/progress.js';
import type { PrepareRequest, TargetPlace, TargetsPlacement, TargetSpec } from '../../job/target-protocol.js';
import type { NewTask } from '../../targets/calls.js';
import { refusedHost, UnusableInventoryError, type FoundHost } from '../../targets/found-hosts.js';
import { isLocal, type TargetHost } from '../../targets/host.js';
import { targetIdOf, targetMarkerOf } from '../../targets/ids.js';
import { failed } from '../../targets/results.js';
import { formerPlaces, RunGoneError } from '../former-placement.js';
import type { Lifeline } from '../lifeline.js';
import { wayTo, type TargetContext } from './context.js';

/** How long what tells that an attempt was started is kept on its host after the end, in seconds. */
export const keptSeconds = 30 * 86_400;
/** Of what Temporal keeps of a workflow, 50 MiB, for hosts that come late; and in so many parts. */
const historyBytes = 20_000_000;
const [fewestParts, mostParts] = [4, 100];
const firstPartSeconds = 10;
const pausesMs = [2_000, 5_000, 10_000, 20_000, 30_000];

/** What came of the preparation on one host. */
type Prepared = { place: TargetPlace } | { ended: TargetResult } | { unreached: string };

/**
 * Makes the attempt folders with their tokens on the hosts of a job (R1). May be repeated: what was made is found again.
 * After a Reset in Temporal what a former run had prepared counts (R5). Hosts that can't be reached are named when it is called for the first time; else they are waited for, until one can.
 */
export async function prepareTargets(
  context: TargetContext,
  request: PrepareRequest,
  currentRunId: string,
  lifeline: Lifeline,
): Promise<TargetsPlacement> {
  const spec = request.input.spec as TargetSpec;
  const former = await formerPlaces(context, request, currentRunId).catch(lostWithItsRun);
  const placement: TargetsPlacement = {
    node: null,
    attempt: request.attempt,
    places: {},
    ended: {},
    unreached: [],
    heartbeat_timeout_ms: context.heartbeatTimeoutMs,
    retry_interval_ms: context.retryIntervalMs,
  };
  const pattern = spec.kind === 'task' ? spec.hosts : spec.adopt.host;
  const found = await findHosts(context, spec, pattern);
  const isWanted = (host: string): boolean => request.hosts === null || request.hosts.includes(host);
  const wanted = typeof found === 'string' ? [] : found.filter(({ name }) => isWanted(name));
  const isOnlyFormer = request.only_former === true;
  const named = request.hosts ?? (typeof found === 'string' ? [pattern] : wanted.map(({ name }) => name));
  if ('lost' in former) {
    const lost = failed({ kind: 'lost', message: former.lost });
    return { ...placement, ended: Object.fromEntries(named.map((host) => [host, lost])) };
  }
  for (const [host, place] of Object.entries(former.places)) if (isWanted(host)) placement.places[host] = place;
  const isPlaced = (host: string): boolean => Object.hasOwn(placement.places, host);
  const nowhere = typeof found === 'string' ? found : 'it is not in the inventory any more';
  for (const host of named.filter((name) => !isPlaced(name))) {
    const isKnown = wanted.some(({ name }) => name === host);
    if (!isOnlyFormer && !isKnown) placement.ended[host] = notLaunched(nowhere);
    // Of a further attempt, how it ended in the one before counts.
    if (isOnlyFormer && isKnown && request.attempt === 1 && Object.keys(placement.places).length > 0)
      placement.ended[host] = canceledBeforeStart(new Date().toISOString());
  }
  let asked = isOnlyFormer ? [] : wanted.filter(({ name }) => !isPlaced(name));

  const since = request.since === null ? null : Date.parse(request.since);
  if (since !== null) tell(lifeline, request.hosts ?? [], null, since);
  let until: number | null = null;
  for (let round = 0; ; round++) {
    const prepared = await Promise.all(
      asked.map(async (host) => ({ host, came: await prepareOn(context, request, spec, host, lifeline.signal) })),
    );
    for (const { host, came } of prepared) {
      if ('place' in came) placement.places[host.name] = came.place;
      else if ('ended' in came) placement.ended[host.name] = came.ended;
    }
    const unreached = prepared.flatMap(({ host, came }) =>
      'unreached' in came ? [{ host, why: came.unreached }] : [],
    );
    tell(
      lifeline,
      unreached.map(({ host }) => host.name),
      unreached[0]?.why ?? null,
      since,
    );
    if (unreached.length < named.length) until ??= togetherUntil(request, spec, since ?? Date.now());
    if (unreached.length === 0 || since === null || Date.now() >= (until ?? Infinity)) {
      placement.unreached = unreached.map(({ host }) => host.name);
      break;
    }
    if (Date.now() - since > spec.unreachable_after * 1000) {
      for (const { host, why } of unreached) placement.ended[host.name] = neverReached(since, why);
      break;
    }
    asked = unreached.map(({ host }) => host);
    const pauseMs = pausesMs[Math.min(round, pausesMs.length - 1)] ?? 0;
    const leftMs = (until ?? Infinity) - Date.now();
    await delay(Math.min(pauseMs, leftMs), undefined, { signal: lifeline.signal });
  }
  const isLocal = Object.values(placement.places).some(({ local }) => local);
  if (isOnlyFormer) placement.only_former = true;
  return { ...placement, node: isLocal ? (former.node ?? context.nodeId) : null };
}

function lostWithItsRun(error: unknown): { lost: string } {
  if (error instanceof RunGoneError) return { lost: error.message };
  throw error;
}

async function findHosts(context: TargetContext, spec: TargetSpec, pattern: string): Promise<FoundHost[] | string> {
  const { inventory, extraVars } = await wayTo(context, spec);
  try {
    return await context.targets.find(inventory, extraVars, pattern);
  } catch (error) {
    if (error instanceof UnusableInventoryError) return error.message;
    throw error;
  }
}

/**
 * Until when those that come soon after one that has come go on together with it. Each part stays in the workflow's history with its
 * inventory, and that has an end: so where there may be too many, the time grows with the time since.
 * @returns ms since 1970
 */
function togetherUntil({ input, hosts }: PrepareRequest, { unreachable_after }: TargetSpec, since: number): number {
  const parts = Math.max(fewestParts, Math.min(mostParts, historyBytes / (2 * JSON.stringify(input).length)));
  if ((hosts?.length ?? 0) <= parts) return Date.now();
  const growth = Math.max(2, unreachable_after / firstPartSeconds) ** (1 / parts);
  return since + (Date.now() - since) * growth;
}

async function prepareOn(
  context: TargetContext,
  request: PrepareRequest,
  spec: TargetSpec,
  found: FoundHost,
  signal: AbortSignal,
): Promise<Prepared> {
  const refusal = refusedHost(found);
  if (refusal !== undefined || 'error' in found) return { ended: notLaunched(refusal ?? '') };
  const { name } = found;
  const connection = { local: found.connection === 'local', ...(found.becomes && { becomes: true }) };
  if (spec.kind === 'adopt') {
    const { ansible_job_id: job_id, async_dir = null } = spec.adopt;
    return { place: { ...connection, adopted: { job_id, async_dir } } };
  }
  const host: TargetHost = { ...(await wayTo(context, spec)), host: name, local: isLocal(connection) };
  const answer = await context.targets.calls.prepare(
    host,
    newTask(context, request, spec, name),
    spec.async_dir ?? null,
    signal,
  );
  if (answer.status === 'unreachable') return { unreached: answer.reason };
  if (answer.status === 'refused') return { ended: notLaunched(answer.reason) };
  const made = answer.value;
  if ('error' in made) return { ended: failed({ kind: made.error.kind, message: made.error.msg }) };
  return { place: { ...connection, ...made } };
}

function newTask(
  { killGraceMs }: TargetContext,
  { run_id, attempt }: PrepareRequest,
  { command, timeout }: TaskSpec,
  host: string,
): NewTask {
  const which = { host, runId: run_id, attempt };
  return {
    id: targetIdOf(which),
    marker: targetMarkerOf(which),
    token: randomBytes(16).toString('hex'),
    host,
    run_id,
    attempt,
    argv: Array.isArray(command) ? command : null,
    shell: typeof command === 'string' ? command : null,
    timeout: timeout ?? null,
    grace: killGraceMs / 1000,
    kept: keptSeconds,
  };
}

/** Tells of hosts that are waited for. @param why of the first one @param since ms since 1970; null: now */
function tell(lifeline: Lifeline, unreached: string[], why: string | null, since: number | null): void {
  const [first] = unreached;
  const reason = `can't be reached${why === null ? '' : `: ${why}`}`;
  const more = unreached.length > 1 ? ` (and ${unreached.length - 1} more)` : '';
  const message = first === undefined ? null : `${first} ${reason}${more}`;
  const targets = Object.fromEntries(
    unreached.map((host) => [host, { ...notStarted, message: host === first ? reason : "can't be reached" }]),
  );
  lifeline.tell({
    started_at: null,
    tasks_done: 0,
    tasks_total: unreached.length,
    message,
    unusual: message !== null,
    targets: targetsTold(targets),
    unreachable: timesTold(unreached.map((host) => [host, since ?? Date.now()])),
  });
}

function notLaunched(why: string): TargetResult {
  return failed({ kind: 'launch', message: `It could not be started: ${why}` });
}

function neverReached(since: number, why: string): TargetResult {
  return failed({
    kind: 'unreachable',
    message: `It could not be reached since ${new Date(since).toISOString()}, so nothing was started: ${why}`,
  });
}
