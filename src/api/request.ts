import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { parseJobId, type JobName } from '../job/names.js';
import { callerOf, type ApiEnv } from './callers/caller.js';
import { jobNotFound, Problem } from './problem.js';
import type { SeenRun } from './jobs/jobs.js';

/** The longest `wait`, in seconds. */
export const maxWaitSeconds = 60;

export const JobIdParameter = z.object({
  job_id: z.string().openapi({
    param: { name: 'job_id', in: 'path' },
    description: '`<playbook_name>:<name>`',
    example: 'site:nightly',
  }),
});

export const RunParameter = z
  .string()
  .max(100)
  .optional()
  .openapi({ description: 'A run by its run_id; the latest if not given' });

export const WaitParameter = z.coerce
  .number()
  .min(0)
  .max(maxWaitSeconds)
  .optional()
  .openapi({ description: `Seconds to wait for the end of the job, at most ${maxWaitSeconds}`, example: 30 });

/** The caller's job that the path names: other tenants' can't be named at all. @throws Problem `job-not-found` for a malformed one */
export function jobOfPath(c: Context<ApiEnv>): JobName {
  const jobId = c.req.param('job_id') ?? '';
  const job = parseJobId(callerOf(c).tenant, jobId);
  if (job === undefined) throw jobNotFound(jobId);
  return job;
}

/** A run_id as Temporal makes them; others name no run. */
export function isRunId(runId: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(runId);
}

/** Seconds that a `Prefer: wait=N` asks for (RFC 7240); undefined if it doesn't, or asks for what we don't know. */
export function preferredWait(prefer: string | undefined): number | undefined {
  const given = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=$|[,;])/i.exec(prefer ?? '')?.[1];
  return given === undefined ? undefined : Math.min(Number(given), maxWaitSeconds);
}

/**
 * Refuses to act on a run that has been followed by another.
 * @throws Problem `run-superseded`
 */
export function requireLatest({ run }: SeenRun, wanted: string | undefined): void {
  // A job that ran in the foreground got another run id when it was entered into Temporal.
  if (wanted === undefined || wanted === run.runId || wanted === run.memo.foreground?.run_id) return;
  throw new Problem(
    'run-superseded',
    `Run ${wanted} is not the job's latest, which is ${run.runId}. Nothing was done`,
    { members: { run_id: run.runId } },
  );
}
