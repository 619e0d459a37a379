import { OpenAPIHono } from '@hono/zod-openapi';
import type { ApiContext } from './context.js';
import { answerError, answerNotFound } from './errors.js';
import { getHealth } from './routes/get-health.js';
import { getJob } from './routes/get-job.js';
import { postJob } from './routes/post-job.js';
import { refuseInvalid } from './validation.js';

export type Api = OpenAPIHono;

/** The HTTP API over what `context` holds. Every route is a file of routes/. */
export function createApp(context: ApiContext): Api {
  const app = new OpenAPIHono({ defaultHook: refuseInvalid });
  app.onError(answerError(context.log));
  app.notFound(answerNotFound(app));
  for (const add of [getHealth, postJob, getJob]) add(app, context);
  return app;
}
