import { jobIdOf, type JobName } from '../../job/names.js';
import { jobNotFound, Problem } from '../problem.js';
import type { Jobs, SeenRun } from './jobs.js';

/** What a path names: a job, or a step of it. */
export interface Named {
  job: JobName;
  step?: string;
}

type Look = Pick<Jobs, 'see'>;

/**
 * The run that is asked for, or the latest; of a step, that of the job's run.
 * @throws Problem `job-not-found`
 */
export async function findRun(jobs: Look, named: Named, runId?: string): Promise<SeenRun> {
  const known = runId === undefined || isRunId(runId);
  const seen = known ? await see(jobs, named, runId) : undefined;
  if (seen !== undefined) return seen;
  const id = `${idOf(named)}${runId === undefined ? '' : `, run ${runId}`}`;
  throw jobNotFound(named.step === undefined ? id : `${id}. A step is there once it was started`);
}

/**
 * The latest run, if it is the one that is meant: nobody acts on a run that has been followed by another.
 * @param wanted what the caller takes for the latest; nothing if that doesn't matter
 * @throws Problem `job-not-found`, `run-superseded`
 */
export async function findLatest(jobs: Look, named: Named, wanted: string | undefined): Promise<SeenRun> {
  const job = await findRun(jobs, { job: named.job });
  const seen = named.step === undefined ? job : await findRun(jobs, named);
  const { run } = job;
  // A job that ran in the foreground got another run id when it was entered into Temporal.
  const names = [run.runId, run.memo.foreground?.run_id, seen.run.runId];
  if (wanted === undefined || names.includes(wanted)) return seen;
  throw new Problem(
    'run-superseded',
    `Run ${wanted} is not the job's latest, which is ${run.runId}. Nothing was done`,
    { members: { run_id: run.runId } },
  );
}

/** A run as it is now that was seen before. @throws Problem `job-not-found` if it was deleted since */
export async function seeAgain(jobs: Look, { run }: SeenRun): Promise<SeenRun> {
  const seen = await jobs.see(run.job, run.runId);
  if (seen === undefined) throw jobNotFound(`${jobIdOf(run.job)}, run ${run.runId}`);
  return seen;
}

async function see(jobs: Look, { job, step: name }: Named, runId: string | undefined): Promise<SeenRun | undefined> {
  const seen = await jobs.see(job, runId);
  if (name === undefined) return seen;
  const ofRun = (id: string): JobName => ({ ...job, step: { runId: id, name } });
  if (seen !== undefined) return jobs.see(ofRun(seen.run.evidenceRunId));
  const latest = runId === undefined ? undefined : await jobs.see(job);
  // The run may be the step's own, as its document has it.
  return latest === undefined ? undefined : jobs.see(ofRun(latest.run.evidenceRunId), runId);
}

function idOf({ job, step: name }: Named): string {
  return jobIdOf(name === undefined ? job : { ...job, step: { runId: '', name } });
}

/** A run_id as Temporal makes them; others name no run. */
function isRunId(runId: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(runId);
}
