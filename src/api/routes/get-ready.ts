import { createRoute, z } from '@hono/zod-openapi';
import type { Api } from '../app.js';
import type { ApiContext } from '../context.js';
import { ForegroundCounts } from './get-health.js';

const Check = z.string().openapi({ description: '`ok`, or what is wrong' });

const Ready = z.object({
  status: z.enum(['ready', 'not_ready']),
  checks: z
    .object({ temporal: Check, worker: Check, workflows: Check })
    .optional()
    .openapi({ description: 'These are not given to a caller without a token where tokens are needed' }),
  queue: z
    .object({ pending: z.int(), running: z.int() })
    .nullable()
    .optional()
    .openapi({ description: 'Jobs in Temporal that have not ended; null while Temporal is away' }),
  foreground: ForegroundCounts.optional(),
});

const route = createRoute({
  method: 'get',
  path: '/readyz',
  summary: 'Whether all jobs would be served now',
  description:
    'Answers within two seconds. While Temporal is away jobs without a name may be served nevertheless: `checks.temporal` says whether they are.',
  security: [],
  responses: {
    200: { description: 'They would', content: { 'application/json': { schema: Ready } } },
    503: { description: 'Something is not ready', content: { 'application/json': { schema: Ready } } },
  },
});

/** `GET /readyz`: whether Temporal answers, a worker asks for work, and workflows make progress; and how much there is to do. */
export function getReady(app: Api, { pulse, foreground, fallback }: ApiContext): void {
  /** What is served nevertheless. Where Temporal may have taken what was sent, nothing is. */
  const meanwhile = (): string =>
    fallback?.outage.since == null
      ? '; until it does, requests for jobs are answered with 503'
      : '; meanwhile jobs without a name run in the foreground, and other requests for jobs are answered with 503';
  app.openapi(route, async (c) => {
    const [{ temporal, worker, workflows, queue }, counts] = await Promise.all([pulse.ask(), foreground.counts()]);
    const isReady = [temporal, worker, workflows].every((trouble) => trouble === null);
    const checks = {
      temporal: temporal === null ? 'ok' : `${temporal}${meanwhile()}`,
      worker: worker ?? 'ok',
      workflows: workflows ?? 'ok',
    };
    // Counts of jobs are no business of a passer-by.
    const told = c.get('caller') === undefined ? {} : { checks, queue, foreground: counts };
    return isReady
      ? c.json({ status: 'ready' as const, ...told }, 200)
      : c.json({ status: 'not_ready' as const, ...told }, 503);
  });
}
