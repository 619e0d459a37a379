import type { RunEvidence } from '../../job/evidence.js';
import { placementOf } from '../../job/state.js';
import { startOfStep, type StepEvidence } from '../../job/steps-state.js';
import type { AttemptStore } from '../../store/attempts.js';
import { outputsOf, type StoredText } from '../../store/output.js';
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

/**
 * What the steps of a run have printed, one after another as its spec has them; undefined while none was placed.
 * `isHere` if any of it is on this machine.
 */
export async function outputOfSteps(
  store: Pick<AttemptStore, 'output'>,
  run: RunEvidence,
  steps: readonly StepEvidence[],
): Promise<{ text: StoredText; isHere: boolean } | undefined> {
  const placed = steps.flatMap((evidence) => {
    const key = keyOfStep(run, evidence);
    return key === null ? [] : [{ title: `STEP [${evidence.step.name}]`, key, start: startOfStep(evidence) }];
  });
  const all = await Promise.all(placed.map(async (part) => ({ ...part, output: await store.output(part.key) })));
  const parts = all.filter(({ output, start }) => output !== undefined || start !== null);
  if (parts.length === 0) return undefined;
  return { text: outputsOf(parts), isHere: parts.some(({ output }) => output !== undefined) };
}

function keyOfStep(run: RunEvidence, { step, record, seen }: StepEvidence): Key | null {
  if (record?.end == null) return seen === null ? null : keyOfLastAttempt(seen.run);
  const { attempt } = record.end;
  return attempt === null ? null : { ...nameOfStep(run, step), runId: record.run_id, attempt };
}
