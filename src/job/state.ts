import type { AttemptEvidence, Fleet, PendingActivity, RunClose, RunEvidence } from './evidence.js';
import type { Failure } from './failure.js';
import type { Outcome } from './outcome.js';
import type { AttemptRecord, RunHeartbeat } from './protocol.js';

/** What a job is doing, by the evidence. */
export type JobState =
  | { status: 'pending'; stage: 'placing' | 'waiting' | 'starting'; message: string }
  | { status: 'running'; stage: 'running'; message: string | null; startedAt: string | null }
  | { status: 'canceling'; stage: 'ending'; message: string; startedAt: string | null }
  | { status: 'successful'; stage: 'ended'; message: string; outcome: Outcome }
  | { status: 'failed'; stage: 'ended'; message: string; failure: Failure | null; outcome: Outcome | null }
  | { status: 'canceled'; stage: 'ended'; message: string; outcome: Outcome | null };

/**
 * The state of a run. What Temporal was told first is the truth: an outcome in the memo, then a request to cancel, then
 * the placement; the attempt's folder (null: nothing can be read of it) says what Temporal can't know yet.
 * @param fleet where a job that waits could be placed; null where that isn't known
 */
export function stateOf(run: RunEvidence, attempt: AttemptEvidence | null, fleet: Fleet | null = null): JobState {
  return withTrouble(run, run.closed === null ? openState(run, attempt, fleet) : closedState(run, run.closed, attempt));
}

/** A job whose workflow tasks fail says so. */
export function withTrouble({ failingTask }: RunEvidence, state: JobState): JobState {
  if (failingTask === null || state.stage === 'ended') return state;
  return { ...state, message: `The workflow of this job makes no progress: ${failingTask}` };
}

/** Whether nothing of the job will change any more. */
export function isFinished(state: JobState): state is Extract<JobState, { stage: 'ended' }> {
  return state.stage === 'ended';
}

/** Whether an open run is decided and only has to close: nothing is asked of a node any more, or it was canceled. */
export function isClosing(run: RunEvidence): boolean {
  if (run.closed !== null) return false;
  return run.cancelRequested || (placementOf(run) !== null && run.activities.length === 0);
}

/** Where the run's current or last attempt is or was; null before the first, and between two. A `node` of null: on its hosts. */
export function placementOf(run: RunEvidence): { node: string | null; attempt: number } | null {
  return run.memo.placement ?? null;
}

/** Whether it waits for a slot on some node. */
export function isWaitingForSlot(run: RunEvidence): boolean {
  return run.closed === null && !run.cancelRequested && activity(run, 'place') !== undefined;
}

function openState(run: RunEvidence, attempt: AttemptEvidence | null, fleet: Fleet | null): JobState {
  const placement = placementOf(run);
  const [watching] = watchingOf(run);
  const startedAt = placement === null ? null : (startHeardOf(run) ?? attempt?.startedAt ?? null);
  if (run.cancelRequested)
    return { status: 'canceling', stage: 'ending', message: whatIsLeft(run, attempt), startedAt };
  if (placement === null) return notPlaced(run, fleet);
  const where = placeOf(placement);
  // What is to be said of hosts that are waited for, when others were reached.
  const waited = activity(run, 'prepareTargets');
  const missing = waited === undefined ? null : reachingMessage(waited);
  if (startedAt === null)
    return { status: 'pending', stage: 'starting', message: missing ?? startingMessage(where, watching) };
  const message = watching === undefined && missing !== null ? null : runningMessage(where, watching);
  return { status: 'running', stage: 'running', message: message ?? missing, startedAt };
}

/** When the current attempt was started, as far as Temporal was told. */
function startHeardOf(run: RunEvidence): string | null {
  const ended = Object.values(run.memo.hosts_ended?.targets ?? {}).map(({ started_at = null }) => started_at);
  const heard = watchingOf(run).map(({ heartbeat }) => heartbeat?.started_at ?? null);
  return earliest([...heard, ...ended]) ?? run.memo.started_at ?? null;
}

const anyNode = 'a node';

/** Where an attempt is watched, in words. */
function placeOf({ node }: { node: string | null }): string {
  return node === null ? anyNode : `node ${node}`;
}

function earliest(times: (string | null)[]): string | null {
  return times.reduce((one, other) => (one === null || (other !== null && other < one) ? other : one), null);
}

function notPlaced(run: RunEvidence, fleet: Fleet | null): JobState {
  const { retry_at: retryAt, tenant_limit: limit, attempts = [] } = run.memo;
  if (limit != null) {
    const message = `Waiting: ${limit} job(s) of its tenant are placed or running, which is the limit (MAX_CONCURRENT_PER_TENANT)`;
    return { status: 'pending', stage: 'waiting', message };
  }
  const last = attempts.at(-1);
  const placing = activity(run, 'place') ?? activity(run, 'prepareTargets');
  const again = retryAt != null && last !== undefined && placing === undefined;
  if (again) return { status: 'pending', stage: 'waiting', message: retryMessage(last, retryAt) };
  if (run.activities.length === 0)
    return { status: 'pending', stage: 'placing', message: 'Waiting for a worker to take it up' };
  if (activity(run, 'prepareTargets') !== undefined)
    return { status: 'pending', stage: 'placing', message: reachingMessage(activity(run, 'prepareTargets')) };
  const trouble = placing?.lastFailure;
  return {
    status: 'pending',
    stage: 'placing',
    message: `Waiting for a free slot${trouble == null ? fleetMessage(fleet) : `: ${trouble}`}`,
  };
}

function fleetMessage(fleet: Fleet | null): string {
  if (fleet === null) return '';
  if (fleet.nodes === 0) return ': no node is live';
  return `: ${fleet.taken} of ${fleet.slots} slot(s) are taken on ${fleet.nodes} live node(s), and others may be ahead of it`;
}

function retryMessage({ attempt, outcome }: AttemptRecord, retryAt: string): string {
  const why = outcome.status === 'failed' ? ` (${outcome.failure.kind}): ${outcome.failure.message}` : '';
  return `Waiting until ${retryAt} for attempt ${attempt + 1}. Attempt ${attempt} failed${why}`;
}

function reachingMessage(preparing: PendingActivity | undefined): string {
  const said = preparing?.heartbeat?.message ?? preparing?.lastFailure;
  return said == null ? 'Reaching its hosts' : `Reaching its hosts: ${said}`;
}

function startingMessage(where: string, watching: PendingActivity | undefined): string {
  if (watching?.lastFailure != null) return `Starting on ${where}: ${watching.lastFailure}`;
  if (watching?.taken !== true) return `Waiting for ${where}`;
  const said = watching.heartbeat?.message;
  return said == null ? `Starting on ${where}` : `Starting on ${where}: ${said}`;
}

/** What it does now, as last heard; or why nobody watches it at the moment. */
function runningMessage(where: string, watching: PendingActivity | undefined): string | null {
  if (watching === undefined) return 'It has ended; taking note of it';
  if (watching.taken) return watching.heartbeat?.message ?? null;
  const further =
    where === anyNode
      ? 'It may run on on its hosts; the job goes on when a node is there'
      : 'It may run on there; the job goes on when the node is back';
  return `Waiting for ${where} to watch it${silence(watching)}. ${further}`;
}

function silence({ lastFailure, heardAt }: PendingActivity): string {
  const since = heardAt === null ? '' : ` (last heard of at ${heardAt})`;
  return lastFailure === null ? since : `: ${lastFailure}${since}`;
}

function whatIsLeft(run: RunEvidence, attempt: AttemptEvidence | null): string {
  const placement = placementOf(run);
  if (placement === null) return 'Canceling; it has not started';
  if (attempt !== null && (attempt.outcome !== null || attempt.over)) return 'Its processes are gone; closing';
  const ending = activity(run, 'end') ?? activity(run, 'endTargets');
  const where = placeOf(placement);
  // What is on hosts any node can end; where it could not, it says which host is in the way, and tries again.
  if (placement.node === null && ending?.lastFailure != null) return `Ending it on its hosts: ${ending.lastFailure}`;
  if (ending !== undefined && !ending.taken) return `Waiting for ${where} to end it${silence(ending)}`;
  return ending?.lastFailure ?? (placement.node === null ? 'Ending it on its hosts' : `Ending it on ${where}`);
}

function closedState(run: RunEvidence, closed: RunClose, attempt: AttemptEvidence | null): JobState {
  if (run.memo.outcome !== undefined) return endedState(run.memo.outcome, closed.reason);
  if (closed.continuedBy !== null) {
    const message = `It was reset in Temporal; run ${closed.continuedBy} goes on with what it had started`;
    return { status: 'canceled', stage: 'ended', message, outcome: null };
  }
  const placement = placementOf(run);
  const gone = placement === null || (attempt !== null && (attempt.outcome !== null || attempt.over));
  if (!gone) return orphanedState(closed, placeOf(placement), attempt);
  return abandonedState(closed, attempt?.outcome ?? null);
}

/** The state of what ended by itself. @param reason why it was canceled, where the history has it */
export function endedState(outcome: Outcome, reason: string | null): JobState {
  switch (outcome.status) {
    case 'successful':
      return { status: 'successful', stage: 'ended', message: 'Successful', outcome };
    case 'failed':
      return { status: 'failed', stage: 'ended', message: outcome.failure.message, failure: outcome.failure, outcome };
    case 'canceled':
      return { status: 'canceled', stage: 'ended', message: `Canceled: ${reason ?? outcome.reason}`, outcome };
  }
}

/** Closed in Temporal, not by the job itself, and its node has not yet said that nothing lives on. */
function orphanedState(closed: RunClose, where: string, attempt: AttemptEvidence | null): JobState {
  const message = `${closedBy(closed)}; ${where} ends what is left of it at its next sweep`;
  return { status: 'canceling', stage: 'ending', message, startedAt: attempt?.startedAt ?? null };
}

/** The state of what was closed from outside, when nothing of it lives. */
export function abandonedState(closed: RunClose, outcome: Outcome | null): JobState {
  const message = closedBy(closed);
  if (closed.as === 'terminated' || closed.as === 'canceled')
    return { status: 'canceled', stage: 'ended', message, outcome };
  return { status: 'failed', stage: 'ended', message, failure: null, outcome };
}

/** How a run came to be closed from outside. */
export function closedBy({ as, reason }: RunClose): string {
  if (as === 'terminated') return `Its workflow was terminated in Temporal: ${reason ?? 'no reason was given'}`;
  return `Its workflow was closed in Temporal (${as}) without an outcome${reason === null ? '' : `: ${reason}`}`;
}

/** The hosts of the current attempt of which nobody could tell how it stands since then, ms since 1970; as many as were told. */
export function unclearHosts(run: RunEvidence, since: number): string[] {
  const others = [activity(run, 'prepareTargets'), activity(run, 'endTargets')];
  const told = [...watchingOf(run), ...others].map((pending) => pending?.heartbeat);
  const hosts = told.flatMap((heartbeat) => Object.entries({ ...heartbeat?.unreachable, ...heartbeat?.unclear }));
  return hosts.filter(([, from]) => Date.parse(from) <= since).map(([host]) => host);
}

/** How it stands on those that are watched; on as many as were told. */
export function watchedHosts(run: RunEvidence): NonNullable<RunHeartbeat['targets']> {
  return Object.assign({}, ...watchingOf(run).map(({ heartbeat }) => heartbeat?.targets)) as NonNullable<
    RunHeartbeat['targets']
  >;
}

/** The activities that watch the current attempt: one on a node, or several on target hosts. */
export function watchingOf(run: RunEvidence): PendingActivity[] {
  return run.activities.filter(({ type }) => type === 'run' || type === 'runTargets');
}

/** What was heard last of the current attempt: of what is watched, of hosts that are waited for, and of those where it has ended. */
export function heardOf(run: RunEvidence): (RunHeartbeat | null)[] {
  const waited = activity(run, 'prepareTargets');
  const { hosts_ended: ended } = run.memo;
  return [
    ...watchingOf(run).map(({ heartbeat }) => heartbeat),
    ...(waited === undefined ? [] : [waited.heartbeat]),
    ...(ended == null
      ? []
      : [{ ...nothingHeard, tasks_done: ended.count, tasks_total: ended.count, targets: ended.targets }]),
  ];
}

const nothingHeard: RunHeartbeat = { started_at: null, tasks_done: 0, message: null };

function activity(run: RunEvidence, type: string): PendingActivity | undefined {
  return run.activities.find((pending) => pending.type === type);
}
