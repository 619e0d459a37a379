import type { Links } from '../job/document.js';
import type { RunEvidence } from '../job/evidence.js';
import { jobIdOf, jobOfStep, workflowIdOf, type JobName } from '../job/names.js';

/** Where the jobs are. */
export const jobsPath = '/api/v1/jobs';

/** The path of a job. Of all characters that a name may have only % means something else in a path. */
export function jobPath(job: Omit<JobName, 'tenant'>): string {
  return `${jobsPath}/${jobIdOf(job).replaceAll('%', '%25')}`;
}

/** A job's links. They name the run, of a step that of its job, so that nobody acts on another's rerun. */
export function linksOf(
  { job, runId }: Pick<RunEvidence, 'job' | 'runId'>,
  cancelable: boolean,
  temporalUi: string | undefined,
): Links {
  const path = jobPath(job);
  const run = `?run=${job.step?.runId ?? runId}`;
  return {
    self: `${path}${run}`,
    stdout: `${path}/stdout${run}`,
    runs: `${path}/runs`,
    ...(job.step !== undefined && { job: `${jobPath(jobOfStep(job))}${run}` }),
    ...(cancelable && { cancel: `${path}/cancel${run}` }),
    ...(temporalUi !== undefined && {
      temporal: `${temporalUi}/workflows/${encodeURIComponent(workflowIdOf(job))}/${runId}`,
    }),
  };
}
