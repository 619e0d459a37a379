import type { JobDocument, StepDocument } from '../../job/document.js';
import type { RunEvidence } from '../../job/evidence.js';
import type { Step } from '../../job/kinds/steps.js';
import { jobOfStep, type JobName } from '../../job/names.js';
import type { LiveProgress } from '../../job/progress.js';
import { titleOf } from '../../job/title.js';
import { stepsInMemo, type StepRecord } from '../../job/step-protocol.js';
import { isStopped, type StepEvidence } from '../../job/steps-state.js';
import { linksOf } from '../links.js';
import type { SeenRun } from './jobs.js';

const atOnce = 8;
const mostLooks = 24;

/** The name of a run's step. */
export function nameOfStep({ job, evidenceRunId }: RunEvidence, { name }: Step): JobName {
  return { ...jobOfStep(job), step: { runId: evidenceRunId, name } };
}

/**
 * What is known of the steps of a run. Of those that have ended their job knows how; the others are looked at. Of very many that
 * have not ended in an open run, only some: those that run first.
 * @param see looks at the latest run of a step
 */
export async function evidenceOfSteps(
  run: RunEvidence,
  steps: readonly Step[],
  see: (step: JobName) => Promise<SeenRun | undefined>,
): Promise<StepEvidence[]> {
  const records = stepsInMemo(run.memo);
  const evidence = steps.map((step): StepEvidence => ({ step, record: records.get(step.name) ?? null, seen: null }));
  const unknown = evidence.filter(({ record }) => mayLive(run, record));
  const runFirst = unknown.sort((one, other) => Number(hasStarted(other)) - Number(hasStarted(one)));
  const looked = run.closed === null ? runFirst.slice(0, mostLooks) : unknown;
  for (let start = 0; start < looked.length; start += atOnce) {
    const some = looked.slice(start, start + atOnce);
    await Promise.all(some.map(async (one) => (one.seen = (await see(nameOfStep(run, one.step))) ?? null)));
  }
  return evidence;
}

/** Whether more is to be known of a step than its job's memo has. */
function mayLive({ closed, memo }: RunEvidence, record: StepRecord | null): boolean {
  if (record !== null && record.end !== null) return false;
  if (closed === null || memo.outcome !== undefined) return record !== null;
  // Terminated: it may have started a step that it never heard of. After a Reset the steps are the next run's.
  return closed.continuedBy === null;
}

function hasStarted({ record }: StepEvidence): boolean {
  return record !== null && record.started_at !== null;
}

const nothing = { failure: null, rc: null, attempt: null, finished_at: null, percent: null };

/**
 * The steps of a run as its document has them.
 * @param look tells of a step that was looked at what its own document says
 */
export async function documentsOfSteps(
  run: RunEvidence,
  steps: readonly StepEvidence[],
  look: (seen: SeenRun) => Promise<JobDocument>,
): Promise<StepDocument[]> {
  const notStarted = run.closed !== null || isStopped(steps) ? 'skipped' : 'pending';
  return Promise.all(
    steps.map(async ({ step, record, seen }): Promise<StepDocument> => {
      const { name, kind, needs } = step;
      const { self, stdout } = linksOf({ job: nameOfStep(run, step), runId: run.runId }, false, undefined);
      const common = { name, kind, title: titleOf(step), needs, links: { self, stdout } };
      if (record?.end != null) {
        const { outputs, ...end } = record.end;
        // One that could not be started has no run of its own.
        const links = record.run_id === '' ? null : common.links;
        return { ...common, ...end, links, percent: 100, ...(step.outputs.length > 0 && { outputs }) };
      }
      if (seen === null && record === null)
        return { ...{ ...common, ...nothing, links: null }, status: notStarted, started_at: null };
      if (seen === null) return { ...common, ...nothing, ...unseen(run, record) };
      const { status, failure, attempt, attempts, started_at, finished_at, progress } = await look(seen);
      const rc = attempts.at(-1)?.rc ?? null;
      return { ...common, status, failure, rc, attempt, started_at, finished_at, percent: progress.percent };
    }),
  );
}

/** A step that was started and not looked at: one of very many, or it is gone from Temporal, or after a Reset the next run's. */
function unseen({ closed }: RunEvidence, record: StepRecord | null): Pick<StepDocument, 'status' | 'started_at'> {
  const started_at = record?.started_at ?? null;
  if (closed !== null) return { status: 'canceled', started_at };
  return { status: started_at === null ? 'pending' : 'running', started_at };
}

/** How far a run is by its steps: each is an equal share of it. */
export function progressOfSteps(steps: readonly StepDocument[]): Omit<LiveProgress, 'message'> {
  const done = steps.filter(({ finished_at }) => finished_at !== null).length;
  const shares = steps.reduce((sum, { percent }) => sum + (percent ?? 0), 0);
  return {
    percent: Math.min(99, Math.floor(shares / steps.length)),
    tasksDone: done,
    tasksTotal: steps.length,
    hosts: {},
    targets: {},
    eta: null,
  };
}
