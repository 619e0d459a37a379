import type { Failure } from './failure.js';
import type { Outcome, Outputs } from './outcome.js';

/** What a job of several steps and its steps tell each other, and those who look at them. */

/** The workflow type of a step. Lists of jobs don't show it. */
export const stepWorkflowType = 'step';

/** The signal by which a step tells its job that it runs: a `StepStart`. */
export const stepStartSignal = 'step_start';

export interface StepStart {
  /** As in `StepInput`. */
  run_id: string;
  step: string;
  /** RFC 3339. */
  started_at: string;
}

/** What makes a job's input that of a step. */
export interface StepInput {
  /** The job's run: the original one, which a Reset in Temporal continues under another id. */
  run_id: string;
  name: string;
  /** What it has to hand on. */
  outputs: string[];
}

/** How a step ended; its outcome has those outputs alone that it was to hand on. */
export interface StepEnd {
  outcome: Outcome;
  /** The last attempt; null if there was none. */
  attempt: number | null;
}

/** How a step stands, as its job has it in its memo; nothing of one that was not started. */
export interface StepRecord {
  /** Of its workflow's first run, which its evidence is kept by. */
  run_id: string;
  /** RFC 3339; once the step has told, or has ended. */
  started_at: string | null;
  end: StepSummary | null;
  /** Why its workflow closed, where it had no outcome then: what lives of it only its node knows. */
  closed: string | null;
}

export interface StepSummary {
  status: Outcome['status'];
  failure: Failure | null;
  rc: number | null;
  attempt: number | null;
  started_at: string | null;
  finished_at: string;
  /** If they are short. */
  outputs?: Outputs;
}

const keyPrefix = 'step/';

/** The part of its job's memo that a step's record is. Each has a key of its own, so that a change costs no more than it says. */
export function memoOfStep(name: string, record: StepRecord): Record<string, StepRecord> {
  return { [`${keyPrefix}${name}`]: record };
}

/** The steps that a job has put on record, by name. @param memo as found */
export function stepsInMemo(memo: object): Map<string, StepRecord> {
  const records = Object.entries(memo).filter(([key]) => key.startsWith(keyPrefix));
  return new Map(records.map(([key, record]) => [key.slice(keyPrefix.length), record as StepRecord]));
}
