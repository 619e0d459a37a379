import { createRoute, z } from '@hono/zod-openapi';
import type { Api } from '../app.js';
import type { ApiContext } from '../context.js';
import { readiness } from '../temporal/readiness.js';

const Check = z.string().openapi({ description: '`ok`, or what is wrong' });

const Ready = z.object({
  status: z.enum(['ready', 'not_ready']),
  checks: z
    .object({ temporal: Check, worker: Check, workflows: Check })
    .optional()
    .openapi({ description: 'Not given to a caller without a token where tokens are needed' }),
});

const route = createRoute({
  method: 'get',
  path: '/readyz',
  summary: 'Whether jobs would be served now',
  security: [],
  responses: {
    200: { description: 'They would', content: { 'application/json': { schema: Ready } } },
    503: { description: 'Something is not ready', content: { 'application/json': { schema: Ready } } },
  },
});

/** `GET /readyz`: whether Temporal answers, a worker asks for work, and workflows make progress. */
export function getReady(app: Api, { temporal }: ApiContext): void {
  app.openapi(route, async (c) => {
    const { temporal: engine, worker, workflows } = await readiness(temporal);
    const isReady = [engine, worker, workflows].every((trouble) => trouble === null);
    const checks = { temporal: engine ?? 'ok', worker: worker ?? 'ok', workflows: workflows ?? 'ok' };
    // Counts of jobs are no business of a passer-by.
    const told = c.get('caller') === undefined ? {} : { checks };
    return isReady
      ? c.json({ status: 'ready' as const, ...told }, 200)
      : c.json({ status: 'not_ready' as const, ...told }, 503);
  });
}
