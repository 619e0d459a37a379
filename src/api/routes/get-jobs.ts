import { createRoute, z } from '@hono/zod-openapi';
import { JobSummary } from '../../job/summary.js';
import type { Api } from '../app.js';
import { callerOf } from '../callers/caller.js';
import { requireScope } from '../callers/scope.js';
import type { ApiContext } from '../context.js';
import { jobsPath } from '../links.js';
import { JobFilter, queryOf } from '../lists/filter.js';
import { pageOf } from '../lists/page.js';
import { problemAnswers } from '../problem-answers.js';

const JobList = z
  .object({
    items: z.array(JobSummary),
    next_cursor: z.string().nullable().describe('For the next page; null after the last'),
  })
  .meta({ id: 'JobList' });

const route = createRoute({
  method: 'get',
  path: jobsPath,
  summary: 'Jobs',
  description: [
    'A job that was run again appears with each of its runs. Open ones come first, the newest start first; then the ended, the latest end first.',
    'A page may have fewer items than `limit`, even none: `next_cursor` tells whether there are more.',
    'A job that starts, ends or changes while pages are read is neither lost nor delivered twice (of more than 800 that were open, one that ends may be).',
    "Lists follow the truth within moments (milliseconds here, about a second on a cluster); `running` is seen a second after the start. A job whose workflow was terminated in Temporal is `canceled` here at once, while its own document says `canceling` until nothing of it lives. The reason of a cancel is in the job's own document.",
  ].join('\n\n'),
  ...requireScope('jobs:read'),
  request: {
    query: JobFilter.extend({
      limit: z.coerce
        .number()
        .int()
        .min(1)
        .max(500)
        .default(50)
        .openapi({ type: 'integer', minimum: 1, maximum: 500, default: 50, description: 'Items on a page at most' }),
      cursor: z
        .string()
        .optional()
        .openapi({ description: 'The `next_cursor` of the page before; the filters have to be the same' }),
    }),
  },
  responses: {
    200: {
      description: 'A page of jobs',
      headers: z.object({
        link: z.string().optional().openapi({ description: 'The next page, as `<...>; rel="next"` (RFC 8288)' }),
      }),
      content: { 'application/json': { schema: JobList } },
    },
    ...problemAnswers(401, 403, 422, 503),
  },
});

/** `GET /jobs`: a page of the caller's jobs. */
export function getJobs(app: Api, { temporal, jobs }: ApiContext): void {
  app.openapi(route, async (c) => {
    const { limit, cursor, ...filter } = c.req.valid('query');
    const { runs, nextCursor } = await pageOf(temporal, queryOf(callerOf(c).tenant, filter), limit, cursor);
    if (nextCursor !== null) c.header('link', `<${nextPage(c.req.url, nextCursor)}>; rel="next"`);
    return c.json({ items: runs.map((run) => jobs.summary(run)), next_cursor: nextCursor }, 200);
  });
}

function nextPage(url: string, cursor: string): string {
  const { searchParams } = new URL(url);
  searchParams.set('cursor', cursor);
  return `${jobsPath}?${searchParams.toString()}`;
}
