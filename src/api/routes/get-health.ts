import { createRoute, z } from '@hono/zod-openapi';
import type { Api } from '../app.js';
import type { ApiContext } from '../context.js';

const Time = z.iso.datetime();

/** Jobs that run, or ran, in the foreground because Temporal was away. */
export const ForegroundCounts = z.object({
  running: z.int(),
  to_enter: z.int().openapi({ description: 'They have ended, and are not in Temporal yet' }),
});

const Health = z.object({
  status: z.literal('ok'),
  temporal: z.enum(['ok', 'away', 'unknown']).optional().openapi({
    description:
      'As last heard; `unknown` before the first look. This and the rest are not given to a caller without a token where tokens are needed',
  }),
  temporal_away_since: Time.nullable().optional(),
  queue: z
    .object({ pending: z.int(), running: z.int(), at: Time })
    .nullable()
    .optional()
    .openapi({ description: 'Jobs in Temporal that have not ended, as last counted' }),
  foreground: ForegroundCounts.optional(),
});

const route = createRoute({
  method: 'get',
  path: '/healthz',
  summary: 'Whether the API process lives',
  security: [],
  description:
    'Waits for nothing: what it says of Temporal is what was last heard. Whether jobs are served: `/readyz`.',
  responses: {
    200: { description: 'It does', content: { 'application/json': { schema: Health } } },
  },
});

/** `GET /healthz`: the process answers, with what it knows. */
export function getHealth(app: Api, { pulse, foreground }: ApiContext): void {
  app.openapi(route, async (c) => {
    // Counts of jobs are no business of a passer-by.
    if (c.get('caller') === undefined) return c.json({ status: 'ok' as const }, 200);
    const { temporal, awaySince, queue } = pulse.last();
    const health = { status: 'ok' as const, temporal, temporal_away_since: awaySince, queue };
    return c.json({ ...health, foreground: await foreground.counts() }, 200);
  });
}
