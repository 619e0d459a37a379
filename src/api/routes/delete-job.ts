import { createRoute, z } from '@hono/zod-openapi';
import { isFinished } from '../../job/state.js';
import type { Api } from '../app.js';
import { requireScope } from '../callers/scope.js';
import type { ApiContext } from '../context.js';
import { Acknowledged, acknowledgementOf } from '../jobs/accepted.js';
import { cancelJob } from '../jobs/cancel.js';
import { removeJob, removeLeftovers } from '../jobs/remove.js';
import { problemAnswers } from '../problem-answers.js';
import { JobIdParameter, jobOfPath, requireLatest, RunParameter } from '../request.js';
import { seeRun } from './get-job.js';

const route = createRoute({
  method: 'delete',
  path: '/api/v1/jobs/{job_id}',
  summary: 'Cancel or delete a job',
  description:
    'One that has not finished is canceled; a finished one is deleted, with all its runs and their output (output on another machine goes when its ttl has passed).',
  ...requireScope('jobs:write'),
  request: { params: JobIdParameter, query: z.strictObject({ run: RunParameter }) },
  responses: {
    202: { description: 'The job is being canceled', content: { 'application/json': { schema: Acknowledged } } },
    204: { description: 'The job is gone' },
    ...problemAnswers(401, 403, 404, 409, 422, 503),
  },
});

/** `DELETE /jobs/{job_id}`: cancels what has not finished, deletes what has. */
export function deleteJob(app: Api, context: ApiContext): void {
  app.openapi(route, async (c) => {
    const job = jobOfPath(c);
    const latest = await context.jobs.see(job);
    if (latest === undefined && (await removeLeftovers(context, job))) return c.body(null, 204);
    let seen = latest ?? (await seeRun(context, job, undefined));
    requireLatest(seen, c.req.valid('query').run);
    if (!isFinished(seen.state)) {
      await cancelJob(context, seen, { reason: undefined, kill: false });
      seen = await seeRun(context, job, seen.run.runId);
      return c.json(acknowledgementOf(await context.jobs.document(seen)), 202);
    }
    await removeJob(context, seen.run);
    return c.body(null, 204);
  });
}
