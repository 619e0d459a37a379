import { createRoute, z } from '@hono/zod-openapi';
import { jobIdOf, parseWorkflowId } from '../../job/names.js';
import type { Api } from '../app.js';
import { callerOf } from '../callers/caller.js';
import { requireScope } from '../callers/scope.js';
import type { ApiContext } from '../context.js';
import { problemAnswers } from '../problem-answers.js';
import type { SeenNode } from '../temporal/nodes.js';

const NodeDocument = z
  .object({
    node: z.string(),
    host: z.string(),
    status: z.enum(['live', 'away']).describe('`away`: nothing was heard of it for longer than NODE_TIMEOUT'),
    last_seen: z.iso.datetime().nullable().describe('RFC 3339, UTC'),
    slots: z
      .int()
      .nullable()
      .describe('How many attempts it runs at the same time; like what follows as last heard. Null while unknown'),
    taken: z.int().nullable(),
    attempts: z
      .array(z.object({ job_id: z.string(), run_id: z.string(), attempt: z.int() }))
      .describe("The caller's among the attempts that hold a slot, at most 100"),
  })
  .meta({ id: 'Node' });
type NodeDocument = z.infer<typeof NodeDocument>;

const route = createRoute({
  method: 'get',
  path: '/api/v1/nodes',
  summary: 'Where jobs run',
  description: 'Every node that was heard of in the last 30 days, as it was when it was last heard of.',
  ...requireScope('jobs:read'),
  responses: {
    200: {
      description: 'The nodes',
      content: { 'application/json': { schema: z.object({ items: z.array(NodeDocument) }) } },
    },
    ...problemAnswers(401, 403, 503),
  },
});

/** `GET /nodes`: the nodes, their slots, and what runs there. */
export function getNodes(app: Api, { nodes }: ApiContext): void {
  app.openapi(route, async (c) => {
    const { tenant } = callerOf(c);
    return c.json({ items: (await nodes.list()).map((node) => documentOf(node, tenant)) }, 200);
  });
}

function documentOf({ node, host, live, lastSeen, state }: SeenNode, tenantOfCaller: string): NodeDocument {
  const attempts = (state?.attempts ?? []).flatMap(({ workflow_id, run_id, attempt }) => {
    const job = parseWorkflowId(workflow_id);
    return job?.tenant === tenantOfCaller ? [{ job_id: jobIdOf(job), run_id, attempt }] : [];
  });
  return {
    node,
    host,
    status: live ? 'live' : 'away',
    last_seen: lastSeen,
    slots: state?.slots ?? null,
    taken: state?.taken ?? null,
    attempts,
  };
}
