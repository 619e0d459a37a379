import { createRoute, z } from '@hono/zod-openapi';
import { jobIdOf } from '../../job/names.js';
import { isFinished } from '../../job/state.js';
import { allows } from '../../tokens/record.js';
import type { Api } from '../app.js';
import { callerOf } from '../callers/caller.js';
import { missingScope, requireScope } from '../callers/scope.js';
import type { ApiContext } from '../context.js';
import { Acknowledged, acknowledgementOf } from '../jobs/accepted.js';
import { cancelJob as cancel } from '../jobs/cancel.js';
import { findLatest, seeAgain } from '../jobs/find.js';
import { limitBody, requireJson } from '../json-body.js';
import { problemAnswers } from '../problem-answers.js';
import { Problem } from '../problem.js';
import { JobIdParameter, namedInPath, RunParameter } from '../request.js';

const CancelBody = z.strictObject({
  reason: z.string().max(1000).optional().openapi({ description: 'Kept with the job' }),
  kill: z.boolean().optional().openapi({
    description:
      'Of an adopted job: end its processes, which were started elsewhere. Without it they are left as they are. Needs the scope `tasks:run` too',
  }),
});

const route = createRoute({
  method: 'post',
  path: '/api/v1/jobs/{job_id}/cancel',
  summary: 'Cancel a job',
  description: 'The job is `canceling` until every process of it is verifiably gone. May be repeated.',
  ...requireScope('jobs:write', limitBody, requireJson({ optional: true })),
  request: {
    params: JobIdParameter,
    query: z.strictObject({ run: RunParameter }),
    body: { required: false, content: { 'application/json': { schema: CancelBody } } },
  },
  responses: {
    202: { description: 'The job is being canceled', content: { 'application/json': { schema: Acknowledged } } },
    ...problemAnswers(400, 401, 403, 404, 409, 413, 415, 422, 503),
  },
});

/** `POST /jobs/{job_id}/cancel`: asks for the end of a job; 409 when it has finished. */
export function cancelJob(app: Api, context: ApiContext): void {
  app.openapi(route, async (c) => {
    const seen = await findLatest(context.jobs, namedInPath(c), c.req.valid('query').run);
    const { reason, kill = false } = c.req.valid('json');
    // It ends what was started elsewhere, as whoever adopted it may.
    const { scopes } = callerOf(c);
    if (kill && !allows(scopes, 'tasks:run')) throw missingScope('tasks:run', scopes);
    if (isFinished(seen.state) || !(await cancel(context, seen, { reason, kill }))) {
      throw new Problem('job-finished', `${jobIdOf(seen.run.job)} has finished; there is nothing to cancel`);
    }
    return c.json(acknowledgementOf(await context.jobs.document(await seeAgain(context.jobs, seen))), 202);
  });
}
