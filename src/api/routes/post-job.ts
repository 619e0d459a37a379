import { createRoute, z } from '@hono/zod-openapi';
import type { MiddlewareHandler } from 'hono';
import { JobDocument } from '../../job/document.js';
import type { JobName } from '../../job/names.js';
import { defaultPlaybookName, JobSpec } from '../../job/spec.js';
import { isFinished } from '../../job/state.js';
import { Accepted, acceptedOf, newlyAccepted, SyncResult, syncResultOf } from '../jobs/accepted.js';
import { startInForeground } from '../jobs/fallback.js';
import { stillEntering } from '../jobs/remove.js';
import { problemOfSubmission, submit, type Submitted } from '../jobs/submit.js';
import { withinRetention } from '../jobs/ttl.js';
import { waitForEnd } from '../jobs/wait.js';
import type { SeenRun } from '../jobs/jobs.js';
import type { Api } from '../app.js';
import { callerOf } from '../callers/caller.js';
import { allows, type Scope } from '../../tokens/record.js';
import { missingScope, requireScope } from '../callers/scope.js';
import type { ApiContext } from '../context.js';
import { limitBody, requireJson } from '../json-body.js';
import { jobPath } from '../links.js';
import { madeName, nameOfKey } from '../made-name.js';
import { problemAnswers } from '../problem-answers.js';
import { jobNotFound, Problem } from '../problem.js';
import { refusePathOutside, requireInventory, requirePlaybook } from '../playbooks.js';
import { preferredWait, WaitParameter } from '../request.js';
import { requireHosts } from '../target-hosts.js';

const SubmitParameters = z.strictObject({
  sync: z.enum(['true', 'false']).optional().openapi({ description: 'Answer with the result when it ended' }),
  wait: WaitParameter,
});

const SubmitHeaders = z.object({
  'idempotency-key': z.string().min(1).max(255).optional().openapi({
    description:
      'For a job without a name: repeating the request with the same key finds the job. Counts within the tenant and its playbook_name; ignored with a name',
  }),
  prefer: z.string().optional().openapi({ description: '`wait=30` does what `?wait=30` does' }),
});

/** A playbook's path is judged before the rest of the body, so that one that leaves the folder is always a 400. */
const refuseForeignPlaybook: MiddlewareHandler = async (c, next) => {
  const body = await c.req.json<{ playbook?: unknown; steps?: unknown } | null>();
  const steps = Array.isArray(body?.steps) ? (body.steps as ({ playbook?: unknown } | null)[]) : [];
  for (const work of [body, ...steps]) refusePathOutside(work?.playbook);
  await next();
};

const route = createRoute({
  method: 'post',
  path: '/api/v1/jobs',
  summary: 'Submit a job',
  description:
    'Starts a run of the job, or finds the one that its name already has. While Temporal is away, a job without a name and an Idempotency-Key may run in the foreground (`execution_mode`): then this answers when it ended.',
  ...requireScope('jobs:write', limitBody, requireJson({ optional: false }), refuseForeignPlaybook),
  request: {
    query: SubmitParameters,
    headers: SubmitHeaders,
    body: { required: true, content: { 'application/json': { schema: JobSpec.meta({ id: 'JobSpec' }) } } },
  },
  responses: {
    200: {
      description:
        'The job was there, or has run in the foreground; or, with `sync`, its result; or, with `wait`, the job as `GET` shows it',
      content: { 'application/json': { schema: z.union([Accepted, SyncResult, JobDocument]) } },
    },
    202: {
      description: 'A run was started',
      headers: z.object({ location: z.string().openapi({ description: 'The job' }) }),
      content: { 'application/json': { schema: z.union([Accepted, JobDocument]) } },
    },
    ...problemAnswers(400, 401, 403, 404, 409, 413, 415, 422, 503, 507),
  },
});

/** `POST /jobs`: submits a job; waits for its end if asked to. */
export function postJob(app: Api, context: ApiContext): void {
  app.openapi(route, async (c) => {
    const asked = c.req.valid('json');
    const { sync, wait } = c.req.valid('query');
    const { 'idempotency-key': key, prefer } = c.req.valid('header');
    requireScopeFor(asked, callerOf(c).scopes);
    await requireFiles(context, asked);
    await requireHosts(context.targetHosts, asked, context.log);
    const { ttl } = await c.req.json<{ ttl?: unknown }>();
    const spec = await withinRetention(context.retention, asked, ttl !== undefined);

    const client = c.req.raw.signal;
    const job = jobOf(callerOf(c).tenant, spec, key);
    const isNamed = spec.name !== undefined || key !== undefined;
    const inForeground = await startInForeground(context, job, spec, isNamed, client);
    if (isNamed && (await context.foreground.evidence(job)) !== undefined) throw stillEntering(job);
    const submitted =
      inForeground ??
      (await submit(context, job, spec, client).catch((error: unknown) => {
        throw problemOfSubmission(error, isNamed);
      }));
    c.header('location', jobPath(job));
    const status = submitted.created ? 202 : 200;

    if (sync === 'true') {
      const seen = await seeStarted(context, job, submitted, { forMs: context.syncMaxWaitMs, client });
      if (seen === undefined) return c.json(newlyAccepted(job, submitted.runId), 202);
      if (!isFinished(seen.state)) return c.json(acceptedOf(await context.jobs.document(seen), submitted.created), 202);
      return c.json(syncResultOf(await context.jobs.document(seen)), 200);
    }
    const seconds = wait ?? preferredWait(prefer);
    if (seconds !== undefined && seconds > 0) {
      if (wait === undefined) c.header('preference-applied', `wait=${seconds}`);
      const seen = await seeStarted(context, job, submitted, { forMs: seconds * 1000, client });
      if (seen === undefined) return c.json(newlyAccepted(job, submitted.runId), 202);
      return c.json(await context.jobs.document(seen), isFinished(seen.state) ? 200 : status);
    }
    const untilEnd = inForeground === undefined ? undefined : { forMs: context.syncMaxWaitMs, client };
    const seen = await seeStarted(context, job, submitted, untilEnd);
    if (seen === undefined) return c.json(newlyAccepted(job, submitted.runId), 202);
    const hasRun = inForeground !== undefined && isFinished(seen.state);
    return c.json(acceptedOf(await context.jobs.document(seen), submitted.created), hasRun ? 200 : status);
  });
}

/** Makes sure that the playbooks and inventory files are there. @throws Problem `playbook-not-found`, `invalid-request` */
async function requireFiles({ playbooksDir, inventoriesDir }: ApiContext, spec: JobSpec): Promise<void> {
  const steps = spec.kind === 'steps' ? spec.steps : [];
  for (const work of [spec, ...steps]) if (work.kind === 'playbook') await requirePlaybook(playbooksDir, work.playbook);
  await requireInventory(inventoriesDir, spec.inventory);
  for (const [index, { inventory }] of steps.entries())
    await requireInventory(inventoriesDir, inventory, ['steps', index]);
}

/** Work on hosts by command is more than what playbooks allow: it has a scope of its own. @throws Problem `missing-scope` */
function requireScopeFor(spec: JobSpec, scopes: readonly Scope[]): void {
  const works = spec.kind === 'steps' ? spec.steps : [spec];
  const isPlain = works.every(({ kind }) => kind === 'playbook');
  if (!isPlain && !allows(scopes, 'tasks:run')) throw missingScope('tasks:run', scopes);
}

function jobOf(tenant: string, spec: JobSpec, key: string | undefined): JobName {
  const made = key === undefined ? madeName() : nameOfKey(key);
  return { tenant, playbookName: spec.playbook_name ?? defaultPlaybookName(spec), name: spec.name ?? made };
}

async function see({ jobs }: ApiContext, job: JobName, { runId }: Submitted): Promise<SeenRun> {
  const seen = await jobs.see(job, runId);
  if (seen === undefined) throw jobNotFound(`${job.playbookName}:${job.name}`);
  return seen;
}

interface Wait {
  forMs: number;
  client: AbortSignal;
}

/**
 * The run as it is now, or after waiting for its end; undefined if this request started it and Temporal went away since: then the answer has to say so,
 * because whoever gets an error submits again.
 */
async function seeStarted(
  context: ApiContext,
  job: JobName,
  submitted: Submitted,
  wait?: Wait,
): Promise<SeenRun | undefined> {
  try {
    if (wait !== undefined) await waitForEnd(context, job, submitted.runId, wait.forMs, wait.client);
    return await see(context, job, submitted);
  } catch (error) {
    if (!submitted.created || !(error instanceof Problem)) throw error;
    context.log.warn({ err: error, ...job }, 'accepted a job that could not be looked at');
    return undefined;
  }
}
