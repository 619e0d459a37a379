import type { HonoRequest, MiddlewareHandler } from 'hono';
import type { Logger } from 'pino';
import { scopes, standingOf, type TokenRecord } from '../../tokens/record.js';
import { isSecretOf, parseToken } from '../../tokens/secret.js';
import { TokensError, type TokenFile } from '../../tokens/token-file.js';
import { Problem } from '../problem.js';
import { unauthorized, type ApiEnv, type Caller } from './caller.js';
import { refuseForeignPage } from './local-callers.js';

/** Who is let in where callers need no token. */
const anybodyHere: Caller = { tenant: 'default', scopes, tokenId: null };

export interface AdmissionOptions {
  tokens: TokenFile;
  /** Whether only this machine reaches the service. */
  loopback: boolean;
  /** Where it listens. */
  port: number;
  log: Logger;
}

/**
 * Finds out who calls, and lets only callers that are known beyond the public paths.
 *
 * Without tokens, on a loopback address, that is everybody on this machine, and the one danger is a browser on it that
 * a page of another origin uses: local-callers.ts refuses those.
 *
 * From the first token on a caller is who holds a token, wherever from; Host and Origin say nothing then, and a reverse
 * proxy may set them. A page of another origin has no token and can't borrow one: there are no cookies or other credentials
 * that a browser would add by itself (so no CSRF), we send no CORS headers (so a browser neither sends its Authorization
 * header nor shows it an answer), and a name that was turned to our address (DNS rebinding) is an origin of its own,
 * which doesn't have what another origin's page keeps.
 */
export function admit({ tokens, loopback, port, log }: AdmissionOptions): MiddlewareHandler<ApiEnv> {
  // Whoever removes the file of a running service doesn't open it thereby.
  let needsToken = !loopback;
  return async (c, next) => {
    const known = await readable(tokens);
    needsToken ||= known instanceof Problem || known.length > 0;
    if (!needsToken) refuseForeignPage(c.req, port);

    const caller = known instanceof Problem ? known : identify(c.req, known, needsToken);
    if (!(caller instanceof Problem)) c.set('caller', caller);
    else if (!isPublic(c.req.path)) throw caller;
    await next();

    const { method, path } = c.req;
    if (!(caller instanceof Problem) && !['GET', 'HEAD', 'OPTIONS'].includes(method))
      log.info(
        { tenant: caller.tenant, token: caller.tokenId, method, path, status: c.res.status },
        'a change was asked for',
      );
  };
}

/** What everybody may see who reaches the service: that it is there, and how it is to be used. Nothing of any job. */
export function isPublic(path: string): boolean {
  return ['/', '/healthz', '/readyz', '/openapi.json', '/docs'].includes(path) || path.startsWith('/docs/');
}

/** The known tokens, or the problem that they can't be known. */
async function readable(tokens: TokenFile): Promise<readonly TokenRecord[] | Problem> {
  try {
    return await tokens.tokens();
  } catch (error) {
    if (!(error instanceof TokensError)) throw error;
    const problem = new Problem(
      'tokens-unreadable',
      "The service can't read its tokens, so it lets nobody in. Its log says why",
      { headers: { 'retry-after': '5' } },
    );
    problem.cause = error;
    return problem;
  }
}

/** The caller whose token a request has, or why it has none that counts. */
function identify(request: HonoRequest, known: readonly TokenRecord[], needsToken: boolean): Caller | Problem {
  const given = /^Bearer +(\S+) *$/i.exec(request.header('authorization') ?? '')?.[1];
  const token = parseToken(given ?? '');
  // A token of ours is never passed over: its sender means a tenant, and that may not be the one without tokens.
  if (!needsToken && token === undefined) return anybodyHere;
  if (given === undefined) return unauthorized('This service needs a token');

  const record = known.find(({ id }) => id === token?.id);
  if (record === undefined || token === undefined || !isSecretOf(record, token.secret))
    return unauthorized('This token is not known here', 'invalid_token');
  // Only who has the secret is told more.
  const standing = standingOf(record);
  if (standing !== 'valid') return unauthorized(`This token is ${standing}`, 'invalid_token');
  return { tenant: record.tenant, scopes: record.scopes, tokenId: record.id };
}
