import path from 'node:path';
import type { JobName, StepName } from '../job/names.js';

/** Which attempt: evidence is kept by the run's id, never by name or ordinal alone (R6). */
export interface AttemptKey extends JobName {
  runId: string;
  attempt: number;
}

/** All runs of a job: `<runs>/<tenant>/<playbook_name>/<name>`. */
export function jobFolder(runsDir: string, { tenant, playbookName, name }: JobName): string {
  return path.join(runsDir, tenant, playbookName, name);
}

/** All attempts of a run. */
export function runFolder(runsDir: string, key: JobName & { runId: string }): string {
  return path.join(jobFolder(runsDir, key), key.runId);
}

/** One attempt's evidence and output. */
export function attemptFolder(runsDir: string, key: AttemptKey): string {
  return path.join(runFolder(runsDir, key), String(key.attempt));
}

/** The environment entry that every process of an attempt carries. */
export function markerOf({ runId, attempt }: Pick<AttemptKey, 'runId' | 'attempt'>): string {
  return `LONGHAUL_ATTEMPT=${runId}/${attempt}`;
}

/** The file of an attempt that tells which step it is of, which the folder's path doesn't; none if it is of no step. */
export const stepFile = 'step.json';

export function recordOfStep({ step }: { step?: StepName }): Record<string, string> {
  return step === undefined ? {} : { [stepFile]: JSON.stringify(step) };
}
