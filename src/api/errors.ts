import { randomUUID } from 'node:crypto';
import type { ErrorHandler, Hono, NotFoundHandler } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { Logger } from 'pino';
import { Problem, problems, type ProblemCause } from './problem.js';

/** Answers what was thrown. Of an unexpected error the client gets a reference, and the log the rest. */
export function answerError(log: Logger): ErrorHandler {
  return (error, c) => {
    if (error instanceof Problem) {
      if (error.cause !== undefined) log.warn({ err: error.cause, path: c.req.path }, error.type);
      return error.toResponse();
    }
    const refused = refusedByLibrary(error);
    if (refused !== undefined) return refused.toResponse();
    const reference = randomUUID();
    const isGone = c.req.raw.signal.aborted;
    log[isGone ? 'debug' : 'error'](
      { err: error, reference, method: c.req.method, path: c.req.path },
      isGone ? 'the client was gone before its answer' : 'a request failed',
    );
    return new Problem(
      'internal-error',
      `This should not have happened. The service's log has more under the reference ${reference}`,
      {
        members: { reference },
      },
    ).toResponse();
  };
}

/** What the HTTP library refused by itself, as one of our problems. */
function refusedByLibrary(error: Error): Problem | undefined {
  if (!(error instanceof HTTPException) || error.status >= 500) return undefined;
  const type = (Object.keys(problems) as ProblemCause[]).find((cause) => problems[cause].status === error.status);
  return type === undefined ? undefined : new Problem(type, error.message);
}

/** Answers what no route serves: 405 where another method would be served, else 404. */
export function answerNotFound(app: Pick<Hono, 'router'>): NotFoundHandler {
  return (c) => {
    const allowed = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((method) => hasRoute(app, method, c.req.path));
    if (allowed.length === 0)
      return new Problem(
        'route-not-found',
        `There is nothing at ${c.req.path}. /docs tells what there is`,
      ).toResponse();
    const allow = allowed.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ');
    return new Problem('method-not-allowed', `${c.req.method} is not served at ${c.req.path}. Allowed: ${allow}`, {
      headers: { allow },
    }).toResponse();
  };
}

function hasRoute({ router }: Pick<Hono, 'router'>, method: string, path: string): boolean {
  // Middleware is registered for all methods.
  return router.match(method, path)[0].some(([[, route]]) => route.method !== 'ALL');
}
