import { createRoute, z } from '@hono/zod-openapi';
import { JobDocument } from '../../job/document.js';
import type { Api } from '../app.js';
import { requireScope } from '../callers/scope.js';
import type { ApiContext } from '../context.js';
import { findRun, seeAgain } from '../jobs/find.js';
import { waitForEnd } from '../jobs/wait.js';
import { problemAnswers } from '../problem-answers.js';
import { JobIdParameter, namedInPath, preferredWait, RunParameter, WaitParameter } from '../request.js';

const route = createRoute({
  method: 'get',
  path: '/api/v1/jobs/{job_id}',
  summary: 'A job',
  description: 'With `wait` it answers when the job ended, or when the time is over.',
  ...requireScope('jobs:read'),
  request: {
    params: JobIdParameter,
    query: z.strictObject({ wait: WaitParameter, run: RunParameter }),
    headers: z.object({
      prefer: z.string().optional().openapi({ description: '`wait=30` does what `?wait=30` does' }),
    }),
  },
  responses: {
    200: { description: 'The job', content: { 'application/json': { schema: JobDocument } } },
    ...problemAnswers(401, 403, 404, 422, 503),
  },
});

/** `GET /jobs/{job_id}`: the job document, at once or when the job ended. */
export function getJob(app: Api, context: ApiContext): void {
  app.openapi(route, async (c) => {
    const { wait, run } = c.req.valid('query');
    const seconds = wait ?? preferredWait(c.req.valid('header').prefer) ?? 0;
    let seen = await findRun(context.jobs, namedInPath(c), run);
    if (seconds > 0 && seen.run.closed === null) {
      await waitForEnd(context, seen.run.job, seen.run.runId, seconds * 1000, c.req.raw.signal);
      seen = await seeAgain(context.jobs, seen);
    }
    return c.json(await context.jobs.document(seen), 200);
  });
}
