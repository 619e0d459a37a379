import { createRoute, z } from '@hono/zod-openapi';
import type { Api } from '../app.js';
import { requireScope } from '../callers/scope.js';
import type { ApiContext } from '../context.js';
import { abandonJob as abandon } from '../jobs/abandon.js';
import { Acknowledged, acknowledgementOf } from '../jobs/accepted.js';
import { findLatest, seeAgain } from '../jobs/find.js';
import { limitBody, requireJson } from '../json-body.js';
import { problemAnswers } from '../problem-answers.js';
import { JobIdParameter, namedInPath, RunParameter } from '../request.js';

const AbandonBody = z.strictObject({
  reason: z.string().trim().min(1).max(1000).openapi({ description: 'How it is known that nothing of it runs' }),
});

const route = createRoute({
  method: 'post',
  path: '/api/v1/jobs/{job_id}/abandon',
  summary: 'Give a job up whose node or hosts are gone for good',
  description:
    'For a job whose node stays away, and for a task of which hosts have been out of reach for 15 seconds at least, or could not tell for so long whether it runs: these alone. It fails with `node_lost`, a task that lives on its hosts with `unreachable`, unless ' +
    'its `retry` has that on its list. What may still run there is ended when the node comes back, unless the job was deleted before, or when the host does, for 30 days.',
  ...requireScope('admin', limitBody, requireJson({ optional: false })),
  request: {
    params: JobIdParameter,
    query: z.strictObject({ run: RunParameter }),
    body: { required: true, content: { 'application/json': { schema: AbandonBody } } },
  },
  responses: {
    202: { description: 'It is given up', content: { 'application/json': { schema: Acknowledged } } },
    ...problemAnswers(400, 401, 403, 404, 409, 413, 415, 422, 503),
  },
});

/** `POST /jobs/{job_id}/abandon`: an operator says that the node or the hosts of a job won't come back. */
export function abandonJob(app: Api, context: ApiContext): void {
  app.openapi(route, async (c) => {
    const seen = await findLatest(context.jobs, namedInPath(c), c.req.valid('query').run);
    await abandon(context, seen, c.req.valid('json').reason);
    return c.json(acknowledgementOf(await context.jobs.document(await seeAgain(context.jobs, seen))), 202);
  });
}
