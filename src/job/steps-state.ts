import type { RunEvidence } from './evidence.js';
import type { Step } from './kinds/steps.js';
import { abandonedState, closedBy, endedState, isFinished, withTrouble, type JobState } from './state.js';
import type { StepRecord } from './step-protocol.js';

const namedSteps = 5;

/** What is known of a step of a run. */
export interface StepEvidence {
  step: Step;
  /** As its job has put it on record; null before it was started. */
  record: StepRecord | null;
  /** Its own run, where its job doesn't know how it ended, or was closed without noticing. */
  seen: { run: RunEvidence; state: JobState } | null;
}

/** A step that was started and of which it is not known that nothing of it lives. */
type Alive = StepEvidence & { seen: NonNullable<StepEvidence['seen']> };

/** The state of a run of several steps: it runs when one of them does, and has ended when all have that were started. */
export function stateOfSteps(run: RunEvidence, steps: readonly StepEvidence[]): JobState {
  const alive = steps.filter((step): step is Alive => step.seen !== null && !isFinished(step.seen.state));
  return withTrouble(run, run.closed === null ? openState(run, steps, alive) : closedState(run, steps, alive));
}

/** Whether nothing further is started because a step has failed, or was closed from outside. */
export function isStopped(steps: readonly StepEvidence[]): boolean {
  return steps.some(({ step, record, seen }) => {
    const status = record?.end?.status ?? seen?.state.status;
    const isUnsuccessful = status === 'failed' || status === 'canceled';
    return record?.closed != null || (isUnsuccessful && step.on_failure === 'stop');
  });
}

/** When a step started; null if it has not, as far as is known. */
export function startOfStep({ record, seen }: StepEvidence): string | null {
  const state = seen?.state;
  const known = record?.end?.started_at ?? record?.started_at;
  if (known != null || state === undefined) return known ?? null;
  if ('startedAt' in state) return state.startedAt;
  return 'outcome' in state ? (state.outcome?.started_at ?? null) : null;
}

function openState(run: RunEvidence, steps: readonly StepEvidence[], alive: readonly Alive[]): JobState {
  const startedAt = earliestStart(steps);
  if (run.cancelRequested) {
    const message = alive.length === 0 ? 'Canceling' : `Ending its steps: ${inWords(alive)}`;
    return { status: 'canceling', stage: 'ending', message, startedAt };
  }
  if (startedAt !== null) return { status: 'running', stage: 'running', message: inWords(alive), startedAt };
  if (alive.length === 0) return { status: 'pending', stage: 'placing', message: 'Waiting for a worker to take it up' };
  const stage = alive.some(({ seen }) => seen.state.stage === 'starting') ? 'starting' : 'placing';
  return { status: 'pending', stage, message: inWords(alive) };
}

function closedState(run: RunEvidence, steps: readonly StepEvidence[], alive: readonly Alive[]): JobState {
  const { closed, memo } = run;
  if (closed === null) throw new Error('a run that is open has no closed state');
  if (memo.outcome === undefined && closed.continuedBy !== null) {
    const message = `It was reset in Temporal; run ${closed.continuedBy} goes on with what it had started`;
    return { status: 'canceled', stage: 'ended', message, outcome: null };
  }
  if (alive.length > 0) {
    const why = memo.outcome === undefined ? closedBy(closed) : 'It has ended';
    const message = `${why}; waiting for its steps to end: ${inWords(alive)}`;
    return { status: 'canceling', stage: 'ending', message, startedAt: earliestStart(steps) };
  }
  return memo.outcome === undefined ? abandonedState(closed, null) : endedState(memo.outcome, closed.reason);
}

function earliestStart(steps: readonly StepEvidence[]): string | null {
  return steps.flatMap((step) => startOfStep(step) ?? []).sort()[0] ?? null;
}

/** What the steps do that have not ended. */
function inWords(alive: readonly Alive[]): string {
  if (alive.length === 0) return 'Between two steps';
  const named = alive.slice(0, namedSteps).map(({ step, seen: { state } }) => {
    const { message } = state;
    return message === null || message === '' ? step.name : `${step.name} (${message})`;
  });
  return `${named.join(', ')}${alive.length > namedSteps ? ` and ${alive.length - namedSteps} more` : ''}`;
}
