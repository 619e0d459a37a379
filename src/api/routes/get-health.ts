import { createRoute, z } from '@hono/zod-openapi';
import type { Api } from '../app.js';

const route = createRoute({
  method: 'get',
  path: '/healthz',
  summary: 'Whether the API process lives',
  security: [],
  responses: {
    200: { description: 'It does', content: { 'application/json': { schema: z.object({ status: z.literal('ok') }) } } },
  },
});

/** `GET /healthz`: the process answers. Says nothing about Temporal or workers: see /readyz. */
export function getHealth(app: Api): void {
  app.openapi(route, (c) => c.json({ status: 'ok' as const }, 200));
}
