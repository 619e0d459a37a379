import { createRoute, z } from '@hono/zod-openapi';
import { jobIdOf, type JobName } from '../../job/names.js';
import { isFinished } from '../../job/state.js';
import type { Api } from '../app.js';
import { requireScope } from '../callers/scope.js';
import type { ApiContext } from '../context.js';
import { Acknowledged, acknowledgementOf } from '../jobs/accepted.js';
import { cancelJob } from '../jobs/cancel.js';
import { findLatest, seeAgain } from '../jobs/find.js';
import { removeJob, removeLeftovers } from '../jobs/remove.js';
import { problemAnswers } from '../problem-answers.js';
import { Problem } from '../problem.js';
import { JobIdParameter, namedInPath, RunParameter } from '../request.js';

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
    const { job, step } = namedInPath(c);
    if (step !== undefined) throw partOf(job, step);
    const isThere = (await context.jobs.see(job)) !== undefined;
    if (!isThere && (await removeLeftovers(context, job))) return c.body(null, 204);
    const seen = await findLatest(context.jobs, { job }, c.req.valid('query').run);
    if (!isFinished(seen.state)) {
      await cancelJob(context, seen, { reason: undefined, kill: false });
      return c.json(acknowledgementOf(await context.jobs.document(await seeAgain(context.jobs, seen))), 202);
    }
    await removeJob(context, seen.run);
    return c.body(null, 204);
  });
}

function partOf(job: JobName, step: string): Problem {
  const jobId = jobIdOf(job);
  return new Problem(
    'part-of-a-job',
    `Step ${step} is deleted with its job: DELETE ${jobId}. To end the step alone, POST ${jobId}:${step}/cancel`,
    { members: { job_id: jobId } },
  );
}
