import type { RunEvidence } from '../../job/evidence.js';
import { isFinished, placementOf, type JobState } from '../../job/state.js';
import { startOfStep, type StepEvidence } from '../../job/steps-state.js';
import { hostsWatchedToEnd } from '../../job/target-outcome.js';
import type { AttemptStore } from '../../store/attempts.js';
import { outputsOf, type HostsOutput, type StoredText } from '../../store/output.js';
import { nameOfStep } from './steps.js';

type Key = Parameters<AttemptStore['output']>[0];

/** The number of the current or last attempt that was placed; null if none was. */
export function lastAttemptOf(run: RunEvidence): number | null {
  return placementOf(run)?.attempt ?? run.memo.attempts?.at(-1)?.attempt ?? null;
}

export function keyOfLastAttempt(run: RunEvidence): Key | null {
  const attempt = lastAttemptOf(run);
  return attempt === null ? null : { ...run.job, runId: run.evidenceRunId, attempt };
}

/** Whether the attempts of a run live in folders of a node; else they are on target hosts. */
export function isOnNode({ memo }: RunEvidence): boolean {
  return memo.kind === undefined || memo.kind === 'playbook';
}

/**
 * What a run has printed on target hosts: on each by the last attempt that has it here. Undefined if nothing of that is on this machine.
 * @param wanted only by this attempt
 */
export async function outputOnHosts(
  store: Pick<AttemptStore, 'outputOnHosts'>,
  { run, state }: { run: RunEvidence; state: JobState },
  wanted?: number,
): Promise<HostsOutput | undefined> {
  const last = keyOfLastAttempt(run);
  if (last === null) return undefined;
  const key = { ...last, attempt: wanted ?? last.attempt };
  const isUnderWay = !isFinished(state) && placementOf(run)?.attempt === key.attempt;
  const outcome = isFinished(state) ? state.outcome : null;
  const isWhole = wanted === undefined || last.attempt === 1;
  // The outcome has of each host its last attempt. Of one of several no more is known than how all of it ended: if well, it did everywhere.
  if (outcome?.targets === undefined || !isWhole) {
    const ended = isWhole ? outcome : run.memo.attempts?.find(({ attempt }) => attempt === wanted)?.outcome;
    const areOthersWatched = ended?.status === 'successful';
    return store.outputOnHosts(key, wanted ?? 1, { targets: {}, watched: [], areOthersWatched, isUnderWay });
  }
  const { targets, targets_omitted: omitted = 0 } = outcome;
  const watched = hostsWatchedToEnd(run.memo.kind ?? 'task', targets);
  // Those in trouble are named first: where there was room for one that is well, no other was given up.
  const areOthersWatched = omitted > 0 && Object.values(targets).some(({ status }) => status === 'successful');
  return store.outputOnHosts(key, 1, { targets, watched, areOthersWatched, isUnderWay });
}

/** The same, where all of it is on this machine as far as that is known. */
export async function wholeOutputOnHosts(
  store: Pick<AttemptStore, 'outputOnHosts'>,
  seen: { run: RunEvidence; state: JobState },
): Promise<StoredText | undefined> {
  return ifWhole(await outputOnHosts(store, seen));
}

async function ifWhole(output: HostsOutput | undefined): Promise<HostsOutput | undefined> {
  return output !== undefined && (await output.lacking()).length === 0 ? output : undefined;
}

/**
 * What the steps of a run have printed, one after another as its spec has them; undefined while none was placed.
 * `isHere` if any of it is on this machine.
 */
export async function outputOfSteps(
  store: Pick<AttemptStore, 'output' | 'outputOnHosts'>,
  run: RunEvidence,
  steps: readonly StepEvidence[],
): Promise<{ text: StoredText; isHere: boolean } | undefined> {
  const placed = steps.flatMap((evidence) => {
    const key = keyOfStep(run, evidence);
    return key === null ? [] : [{ title: `STEP [${evidence.step.name}]`, key, evidence, start: startOfStep(evidence) }];
  });
  const all = await Promise.all(
    placed.map(async ({ title, start, key, evidence }) => {
      const output = await (evidence.step.kind === 'task' ? outputOfTask(store, key, evidence) : store.output(key));
      return { title, start, output };
    }),
  );
  const parts = all.filter(({ output, start }) => output !== undefined || start !== null);
  if (parts.length === 0) return undefined;
  return { text: outputsOf(parts), isHere: parts.some(({ output }) => output !== undefined) };
}

/** Its job has of a step that ended no more than in what way. */
async function outputOfTask(
  store: Pick<AttemptStore, 'outputOnHosts'>,
  key: Key,
  { record, seen }: StepEvidence,
): Promise<StoredText | undefined> {
  if (record?.end == null) return seen === null ? undefined : wholeOutputOnHosts(store, seen);
  const on = { targets: {}, watched: [], areOthersWatched: record.end.status === 'successful', isUnderWay: false };
  return ifWhole(await store.outputOnHosts(key, 1, on));
}

function keyOfStep(run: RunEvidence, { step, record, seen }: StepEvidence): Key | null {
  if (record?.end == null) return seen === null ? null : keyOfLastAttempt(seen.run);
  const { attempt } = record.end;
  return attempt === null ? null : { ...nameOfStep(run, step), runId: record.run_id, attempt };
}
