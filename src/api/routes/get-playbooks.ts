import { createRoute, z } from '@hono/zod-openapi';
import type { Api } from '../app.js';
import { requireScope } from '../callers/scope.js';
import type { ApiContext } from '../context.js';
import { listPlaybooks } from '../playbook-list.js';
import { problemAnswers } from '../problem-answers.js';

const Playbook = z.object({
  playbook: z.string().openapi({ description: 'Its path, as a job names it', example: 'site.yml' }),
  plays: z.array(z.string()).openapi({ description: 'What its plays are called' }),
  error: z.string().nullable().openapi({ description: 'Why it cannot be read as a playbook; null if it can' }),
});

const route = createRoute({
  method: 'get',
  path: '/api/v1/playbooks',
  summary: 'The playbooks that can be run',
  description: 'All tenants share them.',
  ...requireScope('jobs:read'),
  responses: {
    200: { description: 'They', content: { 'application/json': { schema: z.object({ items: z.array(Playbook) }) } } },
    ...problemAnswers(401, 403, 503),
  },
});

/** `GET /playbooks`: the lists of plays below the playbooks folder, and files that should be one and can't be read. */
export function getPlaybooks(app: Api, { playbooksDir }: ApiContext): void {
  app.openapi(route, async (c) => c.json({ items: await listPlaybooks(playbooksDir) }, 200));
}
