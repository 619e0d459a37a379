import type { MiddlewareHandler } from 'hono';
import { allows, type Scope } from '../../tokens/record.js';
import { Problem } from '../problem.js';
import { callerOf, type ApiEnv } from './caller.js';

/** The name of our one security scheme in the API's description. */
export const bearerAuth = 'bearerAuth';

/**
 * The parts of a route's description that keep it to callers with a scope: `createRoute({ ...requireScope('jobs:read'), ... })`.
 * Every route below /api has one.
 * @param then the route's other middleware; it sees only requests that passed
 */
export function requireScope(
  scope: Scope,
  ...then: MiddlewareHandler[]
): { security: Record<string, Scope[]>[]; middleware: MiddlewareHandler[] } {
  return { security: [{ [bearerAuth]: [scope] }], middleware: [refuseOthers(scope), ...then] };
}

function refuseOthers(scope: Scope): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const { scopes } = callerOf(c);
    if (!allows(scopes, scope)) throw missingScope(scope, scopes);
    await next();
  };
}

/** The problem of a caller that lacks a scope. */
export function missingScope(scope: Scope, given: readonly Scope[]): Problem {
  return new Problem('missing-scope', `This needs a token with the scope ${scope}. Yours has ${given.join(', ')}`, {
    headers: { 'www-authenticate': `Bearer realm="longhaul", error="insufficient_scope", scope="${scope}"` },
    members: { scope },
  });
}
