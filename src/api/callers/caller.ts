import type { Context } from 'hono';
import { Problem } from '../problem.js';
import type { Scope } from '../../tokens/record.js';

/** Who sends a request: whose jobs they see, and what they may do. */
export interface Caller {
  tenant: string;
  scopes: readonly Scope[];
  /** For the log; null where callers need no token. */
  tokenId: string | null;
}

/** What our middleware leaves for the routes. */
export interface ApiEnv {
  Variables: { caller?: Caller };
}

/** The caller of a request. @throws Problem `unauthorized` on a public path that was asked for without a token */
export function callerOf(c: Context<ApiEnv>): Caller {
  const caller = c.get('caller');
  if (caller === undefined) throw unauthorized('This needs a token');
  return caller;
}

/**
 * The problem of a request that needs a valid token and has none.
 * @param flaw what is wrong with the one that it has
 */
export function unauthorized(detail: string, flaw?: 'invalid_token'): Problem {
  const challenge = `Bearer realm="longhaul"${flaw === undefined ? '' : `, error="${flaw}"`}`;
  return new Problem('unauthorized', `${detail}. Send Authorization: Bearer TOKEN`, {
    headers: { 'www-authenticate': challenge },
  });
}
