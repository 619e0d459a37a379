import { createRoute } from '@hono/zod-openapi';
import type { Api } from '../app.js';
import { callerOf } from '../callers/caller.js';
import { requireScope } from '../callers/scope.js';
import type { ApiContext } from '../context.js';
import { jobsPath } from '../links.js';
import { countsOf, JobCounts } from '../lists/counts.js';
import { JobFilter, queryOf } from '../lists/filter.js';
import { problemAnswers } from '../problem-answers.js';

const route = createRoute({
  method: 'get',
  path: `${jobsPath}/counts`,
  summary: 'How many jobs there are of each status',
  description: 'Counts what `GET /jobs` lists under the same filters: runs, by their status there.',
  ...requireScope('jobs:read'),
  request: { query: JobFilter },
  responses: {
    200: { description: 'The counts', content: { 'application/json': { schema: JobCounts } } },
    ...problemAnswers(401, 403, 422, 503),
  },
});

/** `GET /jobs/counts`: how many of the caller's jobs there are of each status. A job_id has a colon, so `counts` is none. */
export function getJobCounts(app: Api, { temporal }: ApiContext): void {
  app.openapi(route, async (c) =>
    c.json(await countsOf(temporal, queryOf(callerOf(c).tenant, c.req.valid('query'))), 200),
  );
}
