import { OpenAPIHono } from '@hono/zod-openapi';
import type { MiddlewareHandler } from 'hono';
import { admit } from './callers/admission.js';
import type { ApiEnv } from './callers/caller.js';
import type { ApiContext } from './context.js';
import { answerError, answerNotFound } from './errors.js';
import { abandonJob } from './routes/abandon-job.js';
import { cancelJob } from './routes/cancel-job.js';
import { deleteJob } from './routes/delete-job.js';
import { docs } from './routes/docs.js';
import { getHealth } from './routes/get-health.js';
import { getJob } from './routes/get-job.js';
import { getJobCounts } from './routes/get-job-counts.js';
import { getJobs } from './routes/get-jobs.js';
import { getNodes } from './routes/get-nodes.js';
import { getPlaybooks } from './routes/get-playbooks.js';
import { getReady } from './routes/get-ready.js';
import { getRoot } from './routes/get-root.js';
import { getRuns } from './routes/get-runs.js';
import { getStdout } from './routes/get-stdout.js';
import { postJob } from './routes/post-job.js';
import { refuseInvalid } from './validation.js';

export type Api = OpenAPIHono<ApiEnv>;

const routes = [
  postJob,
  getJobs,
  getJobCounts,
  getJob,
  cancelJob,
  abandonJob,
  deleteJob,
  getRuns,
  getStdout,
  getPlaybooks,
  getNodes,
  getHealth,
  getReady,
  docs,
  getRoot,
];

/** The HTTP API over what `context` holds. Every route is a file of routes/. */
export function createApp(context: ApiContext): Api {
  const app = new OpenAPIHono<ApiEnv>({ defaultHook: refuseInvalid });
  app.onError(answerError(context.log));
  app.notFound(answerNotFound(app));
  app.use(guardAnswers, admit(context));
  for (const add of routes) add(app, context);
  return app;
}

/** Answers are as fresh as they look, and of the type that they say. */
const guardAnswers: MiddlewareHandler = async (c, next) => {
  await next();
  c.header('x-content-type-options', 'nosniff');
  if (!c.res.headers.has('cache-control')) c.header('cache-control', 'no-store');
};
