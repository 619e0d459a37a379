import { createRoute, z } from '@hono/zod-openapi';
import { JobDocument } from '../../job/document.js';
import { isForeground } from '../../job/evidence.js';
import type { Api } from '../app.js';
import { requireScope } from '../callers/scope.js';
import type { ApiContext } from '../context.js';
import { findRun } from '../jobs/find.js';
import type { SeenRun } from '../jobs/jobs.js';
import { problemAnswers } from '../problem-answers.js';
import { JobIdParameter, namedInPath } from '../request.js';
import { runIdsOf } from '../temporal/runs.js';

const maxRuns = 100;
const atOnce = 8;

const RunSummary = JobDocument.pick({
  run_id: true,
  status: true,
  failure: true,
  attempt: true,
  created_at: true,
  started_at: true,
  finished_at: true,
  links: true,
});
type RunSummary = z.infer<typeof RunSummary>;

const Runs = z.object({
  items: z.array(RunSummary).describe(`The newest first, at most ${maxRuns}`),
  more: z.boolean().describe('Whether there are older ones'),
});

const route = createRoute({
  method: 'get',
  path: '/api/v1/jobs/{job_id}/runs',
  summary: "A job's runs",
  description: "Of a step: its own, in the job's latest run.",
  ...requireScope('jobs:read'),
  request: { params: JobIdParameter },
  responses: {
    200: { description: 'Its runs', content: { 'application/json': { schema: Runs } } },
    ...problemAnswers(401, 403, 404, 503),
  },
});

/** `GET /jobs/{job_id}/runs`: every time that the job was run. */
export function getRuns(app: Api, context: ApiContext): void {
  app.openapi(route, async (c) => {
    const latest = await findRun(context.jobs, namedInPath(c));
    const { job } = latest.run;
    const listed = isForeground(latest.run) ? [] : await runIdsOf(context.temporal, job);
    const older = listed.filter((runId) => runId !== latest.run.runId);
    const items = [await summaryOf(context, latest)];
    const wanted = older.slice(0, maxRuns - 1);
    for (let start = 0; start < wanted.length; start += atOnce) {
      const seen = await Promise.all(wanted.slice(start, start + atOnce).map((runId) => context.jobs.see(job, runId)));
      for (const one of seen) if (one !== undefined) items.push(await summaryOf(context, one));
    }
    return c.json({ items, more: older.length > wanted.length }, 200);
  });
}

async function summaryOf({ jobs }: ApiContext, seen: SeenRun): Promise<RunSummary> {
  const { run_id, status, failure, attempt, created_at, started_at, finished_at, links } = await jobs.document(seen);
  return { run_id, status, failure, attempt, created_at, started_at, finished_at, links };
}
