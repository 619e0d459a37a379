import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { isPublic } from '../../src/api/callers/admission.js';
import { logOf } from '../../src/api/log.js';
import { scopes, type Scope } from '../../src/tokens/record.js';
import { changeToken, giveToken, type GivenToken } from '../tokens/given.js';
import { problemOf, unreachableApi, type UnreachableApi } from './unreachable.js';

const guarded = '/api/v1/playbooks';

interface GuardedApi extends UnreachableApi {
  file: string;
  token: GivenToken;
}

/** The API with a token in its file. */
async function guardedApi(loopback = true): Promise<GuardedApi> {
  const api = await unreachableApi({ loopback });
  const file = path.join(api.folder, 'tokens.json');
  return { ...api, file, token: await giveToken(file) };
}

/** Every method and path that is served. */
function routesOf({ app }: UnreachableApi): { method: string; path: string }[] {
  const served = app.routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => `${method} ${path}`);
  return [...new Set(served)].map((route) => {
    const [method = '', path = ''] = route.split(' ');
    return { method, path };
  });
}

/** A path with a parameter that names nothing. */
function asked(route: string): string {
  return route.replaceAll(/:\w+/g, 'nothing');
}

/** What a route needs: to look, or to change; those that need more are named here. */
function scopeOf({ method, path }: { method: string; path: string }): Scope {
  const special: Record<string, Scope> = { 'POST /api/v1/jobs/:job_id/abandon': 'admin' };
  return special[`${method} ${path}`] ?? (method === 'GET' ? 'jobs:read' : 'jobs:write');
}

describe('without tokens, on a loopback address', () => {
  it('everybody on the machine is let in, with or without the token of somebody else', async () => {
    const { request } = await unreachableApi();
    expect((await request(guarded)).status).toBe(200);
    expect((await request(guarded, { headers: { authorization: 'Bearer of-another-service' } })).status).toBe(200);
  });

  it('a token of ours is still not passed over: who sends it does not mean the tenant of those without', async () => {
    const { request, folder } = await unreachableApi();
    const { header } = await giveToken(path.join(folder, 'elsewhere.json'));
    expect((await problemOf(await request(guarded, { headers: header }))).status).toBe(401);
  });
});

describe('from the first token on', () => {
  it('every route asks for one, also on a loopback address, except those that tell nothing of jobs', async () => {
    const api = await guardedApi();
    const open: string[] = [];
    for (const { method, path } of routesOf(api)) {
      const response = await api.request(asked(path), { method });
      if (response.status !== 401) open.push(`${method} ${path}`);
      else expect(response.headers.get('www-authenticate')).toBe('Bearer realm="longhaul"');
    }
    expect(open.sort()).toEqual([
      'GET /',
      'GET /docs',
      'GET /docs/:asset',
      'GET /docs/start.js',
      'GET /healthz',
      'GET /openapi.json',
      'GET /readyz',
    ]);
  });

  it('what no route serves asks for one too', async () => {
    const { request } = await guardedApi();
    for (const path of ['/nope', '/api/v1/later', '/healthz/', '//healthz', '/documents'])
      expect((await request(path)).status).toBe(401);
  });

  it.each(['Bearer', 'bearer', 'BEARER'])('who sends one is let in: %s', async (scheme) => {
    const { request, token } = await guardedApi();
    const response = await request(guarded, { headers: { authorization: `${scheme} ${token.text}` } });
    expect(response.status).toBe(200);
  });

  it.each<[string, (token: GivenToken) => string | undefined]>([
    ['none', () => undefined],
    ['an empty one', () => 'Bearer '],
    ['another scheme', ({ text }) => `Basic ${Buffer.from(`token:${text}`).toString('base64')}`],
    ['no scheme', ({ text }) => text],
    ['not one of ours', () => 'Bearer secret'],
    ['an unknown id', ({ text, id }) => `Bearer ${text.replace(id, '0123456789ab')}`],
    ['its id alone', ({ id }) => `Bearer lh_${id}`],
    ['a part of it', ({ text }) => `Bearer ${text.slice(0, -1)}`],
    ['more than it', ({ text }) => `Bearer ${text}0`],
    ['capitals', ({ text }) => `Bearer ${text.toUpperCase()}`],
    ['two', ({ text }) => `Bearer ${text} ${text}`],
  ])('who sends something else is not: %s', async (_, headerOf) => {
    const { request, token } = await guardedApi();
    const authorization = headerOf(token);
    const response = await request(guarded, { headers: authorization === undefined ? {} : { authorization } });
    expect(await problemOf(response)).toMatchObject({ status: 401, type: '/problems/unauthorized' });
  });

  it('a secret that differs in any one place is another', async () => {
    const { request, token } = await guardedApi();
    const start = token.text.length - 64;
    for (let place = start; place < token.text.length; place += 1) {
      const other = token.text[place] === '0' ? '1' : '0';
      const text = token.text.slice(0, place) + other + token.text.slice(place + 1);
      expect((await request(guarded, { headers: { authorization: `Bearer ${text}` } })).status).toBe(401);
    }
  });

  it('the secret of one token does not open another', async () => {
    const { request, file, token } = await guardedApi();
    const other = await giveToken(file, { tenant: 'dev' });
    const mixed = `lh_${token.id}_${other.text.split('_')[2]}`;
    expect((await request(guarded, { headers: { authorization: `Bearer ${mixed}` } })).status).toBe(401);
  });

  it('an expired one is refused from that moment on, and says so to who has it only', async () => {
    const { request, file } = await guardedApi();
    const past = await giveToken(file, { expires_at: new Date(Date.now() - 1).toISOString() });
    const future = await giveToken(file, { expires_at: new Date(Date.now() + 3_600_000).toISOString() });
    const response = await request(guarded, { headers: past.header });
    expect(response.headers.get('www-authenticate')).toContain('error="invalid_token"');
    expect((await problemOf(response)).detail).toContain('expired');
    const guess = { authorization: `Bearer lh_${past.id}_${'0'.repeat(64)}` };
    expect((await problemOf(await request(guarded, { headers: guess }))).detail).not.toContain('expired');
    expect((await request(guarded, { headers: future.header })).status).toBe(200);
  });

  it('one that is revoked is dead at the next request, and one that is made works', async () => {
    const { request, file, token } = await guardedApi();
    expect((await request(guarded, { headers: token.header })).status).toBe(200);
    const other = await giveToken(file);
    expect((await request(guarded, { headers: other.header })).status).toBe(200);
    await changeToken(file, token.id, { revoked_at: new Date().toISOString() });
    expect((await problemOf(await request(guarded, { headers: token.header }))).detail).toContain('revoked');
    expect((await request(guarded, { headers: other.header })).status).toBe(200);
  });

  it('the service stays closed when the last one is revoked, and when the file is removed', async () => {
    const { request, file, token } = await guardedApi();
    expect((await request(guarded)).status).toBe(401);
    await changeToken(file, token.id, { revoked_at: new Date().toISOString() });
    expect((await request(guarded)).status).toBe(401);
    await rm(file);
    expect((await request(guarded)).status).toBe(401);
    expect((await request(guarded, { headers: token.header })).status).toBe(401);
  });

  it('a passer-by is told whether the service is ready, and only callers why not', async () => {
    const { request, token } = await guardedApi();
    expect(await (await request('/readyz')).json()).toEqual({ status: 'not_ready' });
    const told: any = await (await request('/readyz', { headers: token.header })).json();
    expect(told.checks.temporal).toContain('Temporal');
  });
});

describe('a service that other machines reach', () => {
  it('lets nobody in without tokens', async () => {
    const { request } = await unreachableApi({ loopback: false });
    expect((await request(guarded)).status).toBe(401);
  });

  it('is served under any name, and by a page of another origin only to who has a token', async () => {
    const { request, token } = await guardedApi(false);
    const foreign = { host: 'longhaul.example', origin: 'https://elsewhere.example' };
    for (const method of ['GET', 'POST', 'DELETE'])
      expect((await request('/api/v1/jobs/a:b', { method, headers: foreign })).status).toBe(401);
    const response = await request(guarded, { headers: { ...foreign, ...token.header } });
    expect(response.status).toBe(200);
  });

  it('gives no page of another origin leave to send a token or to read an answer', async () => {
    const { request, token } = await guardedApi(false);
    const page = { origin: 'https://elsewhere.example', 'access-control-request-headers': 'authorization' };
    const preflight = await request('/api/v1/jobs', {
      method: 'OPTIONS',
      headers: { ...page, 'access-control-request-method': 'POST' },
    });
    const answer = await request(guarded, { headers: { ...page, ...token.header } });
    for (const response of [preflight, answer]) {
      const names = [...response.headers.keys()];
      expect(names.filter((name) => name.startsWith('access-control-') || name === 'set-cookie')).toEqual([]);
    }
    expect(preflight.status).toBe(401);
  });
});

describe('scopes', () => {
  it('every route has one that its description names; a token with it is let in, one with all others is not', async () => {
    const api = await guardedApi();
    const { paths }: any = await (await api.request('/openapi.json')).json();
    const routes = routesOf(api).filter(({ path }) => !isPublic(path));
    expect(routes.length).toBeGreaterThan(6);
    const tokens = new Map<Scope, { without: GivenToken; only: GivenToken }>();
    for (const scope of scopes) {
      const others = scopes.filter((other) => other !== scope && other !== 'admin');
      const without = await giveToken(api.file, { scopes: others });
      tokens.set(scope, { without, only: await giveToken(api.file, { scopes: [scope] }) });
    }
    const check = async ({ method, path }: { method: string; path: string }): Promise<void> => {
      const route = `${method} ${path}`;
      const needed = scopeOf({ method, path });
      const described = paths[path.replaceAll(/:(\w+)/g, '{$1}')][method.toLowerCase()];
      expect(described.security, route).toEqual([{ bearerAuth: [needed] }]);
      expect(Object.keys(described.responses)).toEqual(expect.arrayContaining(['401', '403']));

      const ask = (given: GivenToken): Promise<Response> => api.request(asked(path), { method, headers: given.header });
      const refused = await ask(tokens.get(needed)!.without);
      expect(await problemOf(refused)).toMatchObject({ status: 403, type: '/problems/missing-scope', scope: needed });
      expect(refused.headers.get('www-authenticate')).toContain(`error="insufficient_scope", scope="${needed}"`);
      for (const scope of [needed, 'admin'] as const) {
        const { status } = await ask(tokens.get(scope)!.only);
        expect([401, 403], `${route} with ${scope}`).not.toContain(status);
      }
    };
    await Promise.all(routes.map(check));
  });

  it('are judged before anything in the request is', async () => {
    const { request, file } = await guardedApi();
    const reader = await giveToken(file, { scopes: ['jobs:read'] });
    const body = 'not JSON';
    const response = await request('/api/v1/jobs?nope=1', { method: 'POST', body, headers: reader.header });
    expect((await problemOf(response)).status).toBe(403);
  });

  it('the page of the API knows how a token is sent', async () => {
    const { request } = await guardedApi();
    const { components }: any = await (await request('/openapi.json')).json();
    expect(components.securitySchemes.bearerAuth).toMatchObject({ type: 'http', scheme: 'bearer' });
  });
});

describe('a tokens file that can not be used', () => {
  const one = { id: '0123456789ab', tenant: 'ops', scopes: ['admin'], hash: '0'.repeat(64) };
  const dated = { ...one, created_at: '2026-01-01T00:00:00Z' };
  const list = (tokens: unknown, more = {}): string => JSON.stringify({ version: 1, tokens, ...more });

  it.each([
    ['empty', ''],
    ['cut off', list([dated]).slice(0, -5)],
    ['of another version', JSON.stringify({ version: 2, tokens: [] })],
    ['with a token that has no date', list([one])],
    ['with a tenant that is no name', list([{ ...dated, tenant: '../ops' }])],
    ['with a scope that there is not', list([{ ...dated, scopes: ['all'] }])],
    ['with a field that there is not', list([{ ...dated, expires: '2020-01-01' }])],
    ['with an id twice', list([dated, dated])],
    ['a mere list', '[]'],
  ])('lets nobody in, says so, and is read again when it is mended: %s', async (_, content) => {
    const { request, file, token, logged } = await guardedApi();
    await writeFile(file, content);
    for (const headers of [token.header, {}]) {
      const problem = await problemOf(await request(guarded, { headers }));
      expect(problem).toMatchObject({ status: 503, type: '/problems/tokens-unreadable' });
      expect(problem.detail).not.toContain(file);
    }
    expect(logged()).toContain(file);
    expect((await request('/healthz')).status).toBe(200);
    await rm(file);
    const next = await giveToken(file);
    expect((await request(guarded, { headers: next.header })).status).toBe(200);
  });

  it('never counts as none, also when the service has not seen a token before', async () => {
    const { request, folder } = await unreachableApi();
    const file = path.join(folder, 'tokens.json');
    await mkdir(file);
    expect((await request(guarded)).status).toBe(503);
    await rm(file, { recursive: true });
    await writeFile(file, list([]));
    await chmod(file, 0o666);
    expect((await request(guarded)).status).toBe(503);
  });
});

describe('the log', () => {
  it('says who changed something, by tenant and token id, and never has the token', async () => {
    const { request, token, logged } = await guardedApi();
    await request('/api/v1/jobs/nothing', { method: 'DELETE', headers: token.header });
    expect(JSON.parse(logged().trim())).toMatchObject({
      tenant: 'ops',
      token: token.id,
      method: 'DELETE',
      path: '/api/v1/jobs/nothing',
      status: 404,
    });
    expect(logged()).not.toContain(token.text.split('_')[2]);
  });

  it('leaves out the header with the token should headers be logged', () => {
    const lines: string[] = [];
    const log = logOf('info', { write: (line) => lines.push(line) });
    const headers = { authorization: 'Bearer lh_secret', host: 'here' };
    log.info({ headers, req: { headers }, authorization: headers.authorization }, 'a request');
    expect(lines.join('')).toContain('"host":"here"');
    expect(lines.join('')).not.toContain('lh_secret');
  });
});
