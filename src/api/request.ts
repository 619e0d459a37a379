import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { parseJobId } from '../job/names.js';
import { callerOf, type ApiEnv } from './callers/caller.js';
import type { Named } from './jobs/find.js';
import { jobNotFound } from './problem.js';

/** The longest `wait`, in seconds. */
export const maxWaitSeconds = 60;

export const JobIdParameter = z.object({
  job_id: z.string().openapi({
    param: { name: 'job_id', in: 'path' },
    description: '`<playbook_name>:<name>`; of a step `<playbook_name>:<name>:<step>`',
    example: 'site:nightly',
  }),
});

export const RunParameter = z
  .string()
  .max(100)
  .optional()
  .openapi({ description: 'A run by its run_id; the latest if not given. Of a step: the run of its job' });

export const WaitParameter = z.coerce
  .number()
  .min(0)
  .max(maxWaitSeconds)
  .optional()
  .openapi({ description: `Seconds to wait for the end of the job, at most ${maxWaitSeconds}`, example: 30 });

/** What the path names of the caller's: other tenants' jobs can't be named at all. @throws Problem `job-not-found` if malformed */
export function namedInPath(c: Context<ApiEnv>): Named {
  const jobId = c.req.param('job_id') ?? '';
  const named = parseJobId(callerOf(c).tenant, jobId);
  if (named === undefined) throw jobNotFound(jobId);
  return named;
}

/** Seconds that a `Prefer: wait=N` asks for (RFC 7240); undefined if it doesn't, or asks for what we don't know. */
export function preferredWait(prefer: string | undefined): number | undefined {
  const given = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=$|[,;])/i.exec(prefer ?? '')?.[1];
  return given === undefined ? undefined : Math.min(Number(given), maxWaitSeconds);
}
