import { inBrief } from './brief.js';
import type { Step } from './kinds/steps.js';
import type { Outcome, Outputs } from './outcome.js';
import type { StepEnd, StepSummary } from './step-protocol.js';

const messageCharacters = 300;
const namedSteps = 10;
/** What Temporal keeps of a step with its job. */
const shownOutputBytes = 1_000;

/** How a step came to its end: by an outcome, or by a close of its workflow without one. */
export type Ending = StepEnd | { closed: string };

/** A step that ended well without what it was to hand on has failed. */
export function withDeclaredOutputs(declared: readonly string[], outcome: Outcome): Outcome {
  if (outcome.status !== 'successful') return outcome;
  const { outputs = {}, outputs_omitted: omitted = {} } = outcome;
  const missing = declared.filter((name) => !Object.hasOwn(outputs, name));
  if (missing.length === 0) return outcome;
  const why = missing.map((name) => `${name} (${omitted[name] ?? 'it was not set'})`);
  const message = `It ended well without what it was to hand on: ${why.join(', ')}`;
  return { ...outcome, status: 'failed', failure: { kind: 'exit', message } };
}

/** What a job is told of the end of a step. */
export function endOf(declared: readonly string[], outcome: Outcome, attempt: number | null): StepEnd {
  return { outcome: { ...inBrief(outcome), outputs: picked(outcome.outputs ?? {}, declared) }, attempt };
}

/** What a job keeps of it in its memo. */
export function summaryOfEnd({ outcome, attempt }: StepEnd): StepSummary {
  const { status, rc, started_at, finished_at, outputs = {} } = outcome;
  const failure =
    outcome.status === 'failed' ? { ...outcome.failure, message: shortened(outcome.failure.message) } : null;
  const isShort = JSON.stringify(outputs).length <= shownOutputBytes;
  return { status, failure, rc, attempt, started_at, finished_at, ...(isShort && { outputs }) };
}

/** Whether what needs a step may start when it has ended so. */
export function mayGoOn({ on_failure }: Step, ending: Ending): boolean {
  if ('closed' in ending) return false;
  return ending.outcome.status === 'successful' || on_failure === 'continue';
}

/**
 * How a job of several steps ended.
 * @param endings of the steps that were started, in the order of their ends
 * @param isCanceled whether it was asked to end
 */
export function outcomeOfSteps(
  steps: readonly Step[],
  endings: ReadonlyMap<string, Ending>,
  isCanceled: boolean,
  at: string,
): Outcome {
  const stops = steps.flatMap((step) => {
    const ending = endings.get(step.name);
    return ending === undefined || mayGoOn(step, ending) ? [] : [{ name: step.name, ending }];
  });
  const outcomes = [...endings.values()].flatMap((ending) => ('outcome' in ending ? [ending.outcome] : []));
  const ended = {
    rc: null,
    stats: {},
    started_at: earliest(outcomes),
    finished_at: latest(outcomes) ?? at,
    // Those of each step are in its own document.
    leftovers: [],
  };
  const skipped = steps.filter(({ name }) => !endings.has(name)).map(({ name }) => name);
  const wasCut =
    skipped.length > 0 || outcomes.some(({ status }) => status === 'canceled') || outcomes.length < endings.size;
  if (isCanceled && wasCut) return { status: 'canceled', reason: 'on request', ...ended };

  const order = [...endings.keys()];
  stops.sort((one, other) => order.indexOf(one.name) - order.indexOf(other.name));
  const failed = stops.flatMap(({ name, ending }) =>
    'outcome' in ending && ending.outcome.status === 'failed' ? [{ name, outcome: ending.outcome }] : [],
  );
  const [first] = failed;
  if (first !== undefined) {
    const named = failed
      .slice(0, namedSteps)
      .map(({ name, outcome: { failure } }) => `${name} (${failure.kind}: ${shortened(failure.message)})`);
    const more = failed.length > namedSteps ? ', ...' : '';
    const message = `${failed.length} of ${steps.length} steps failed: ${named.join(', ')}${more}${notStarted(skipped)}`;
    return { status: 'failed', failure: { ...first.outcome.failure, message }, ...ended, rc: first.outcome.rc };
  }
  const [stopped] = stops;
  if (stopped !== undefined)
    return { status: 'canceled', reason: `${whyCanceled(stopped)}${notStarted(skipped)}`, ...ended };
  return { status: 'successful', ...ended, rc: 0 };
}

function whyCanceled({ name, ending }: { name: string; ending: Ending }): string {
  if ('closed' in ending) return `step ${name}: ${ending.closed}`;
  return `step ${name} was canceled${ending.outcome.status === 'canceled' ? ` (${ending.outcome.reason})` : ''}`;
}

function notStarted(skipped: string[]): string {
  if (skipped.length === 0) return '';
  const named = skipped.slice(0, namedSteps).join(', ');
  return `; not started: ${named}${skipped.length > namedSteps ? ', ...' : ''}`;
}

function picked(outputs: Outputs, names: readonly string[]): Outputs {
  return Object.fromEntries(names.filter((name) => Object.hasOwn(outputs, name)).map((name) => [name, outputs[name]]));
}

function earliest(outcomes: Outcome[]): string | null {
  return outcomes.flatMap(({ started_at }) => started_at ?? []).sort()[0] ?? null;
}

function latest(outcomes: Outcome[]): string | undefined {
  return outcomes
    .map(({ finished_at }) => finished_at)
    .sort()
    .at(-1);
}

function shortened(text: string): string {
  return text.length <= messageCharacters ? text : `${text.slice(0, messageCharacters - 1)}…`;
}
