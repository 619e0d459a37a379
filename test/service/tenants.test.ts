import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeToken, runToken } from '../commands/run-token.js';
import { Service, type Answer } from './service.js';
import { until } from './processes.js';

/** Calls the service as one caller. */
type Call = (method: string, address: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>;

let service: Service;
const texts = {} as Record<'ops' | 'dev' | 'reader', string>;
let ops: Call;
let dev: Call;
let reader: Call;

beforeAll(async () => {
  service = await Service.prepare({ HOST: '0.0.0.0' });
  texts.ops = await makeToken(service.environment, 'ops', 'jobs:read,jobs:write');
  texts.dev = await makeToken(service.environment, 'dev', 'admin');
  texts.reader = await makeToken(service.environment, 'ops', 'jobs:read');
  await service.start();
  [ops, dev, reader] = [texts.ops, texts.dev, texts.reader].map(callWith) as [Call, Call, Call];
});
afterAll(() => service.destroy());

function callWith(text: string): Call {
  return (method, address, body, headers) =>
    service.call(method, address, body, { ...headers, authorization: `Bearer ${text}` });
}

async function ended(call: Call, jobId: string): Promise<any> {
  return until(`the end of ${jobId}`, async () => {
    const { body } = await call('GET', `/api/v1/jobs/${jobId}?wait=5`);
    return body?.finished_at !== null && body;
  });
}

describe('a service that other machines reach', () => {
  it('starts with tokens, is served on all addresses, and answers nobody without one', async () => {
    const elsewhere = service.url.replace('127.0.0.1', '127.0.0.2');
    for (const url of [service.url, elsewhere]) {
      expect((await service.get(`${url}/api/v1/jobs/hello:any`)).status).toBe(401);
      expect((await service.post(`${url}/api/v1/jobs`, { playbook: 'hello.yml' })).status).toBe(401);
      expect((await ops('GET', `${url}/api/v1/playbooks`)).status).toBe(200);
    }
  });

  it('lets a token do what its scopes say', async () => {
    expect((await reader('POST', '/api/v1/jobs', { playbook: 'hello.yml', name: 'read' })).status).toBe(403);
    expect((await reader('GET', '/api/v1/jobs/hello:read')).status).toBe(404);
  });
});

describe('the same name in two tenants', () => {
  it('is two jobs, each with its own run, output and files', async () => {
    const spec = (who: string): object => ({ playbook: 'hello.yml', name: 'same', extra_vars: { name: who } });
    const submitted = [
      await ops('POST', '/api/v1/jobs', spec('Ops')),
      await dev('POST', '/api/v1/jobs', spec('Dev')),
      await ops('POST', '/api/v1/jobs', spec('Ops')),
    ];
    expect(submitted.map(({ status }) => status)).toEqual([202, 202, 200]);
    const [first, second, again] = submitted.map(({ body }) => body.run_id as string);
    expect(again).toBe(first);
    expect(second).not.toBe(first);

    for (const [call, tenant, who, run] of [
      [ops, 'ops', 'Ops', first],
      [dev, 'dev', 'Dev', second],
    ] as const) {
      const document = await ended(call, 'hello:same');
      expect(document).toMatchObject({ tenant, run_id: run, status: 'successful' });
      expect((await call('GET', '/api/v1/jobs/hello:same/stdout')).text).toContain(`Hello, ${who}!`);
      const runs = (await call('GET', '/api/v1/jobs/hello:same/runs')).body.items;
      expect(runs.map((item: any) => item.run_id)).toEqual([run]);
      expect(existsSync(path.join(service.dataDir, 'runs', tenant, 'hello', 'same', run!))).toBe(true);
      const description = await (await service.temporal()).workflow.getHandle(`${tenant}/hello/same`).describe();
      expect(description.runId).toBe(run);
    }

    expect((await dev('DELETE', '/api/v1/jobs/hello:same')).status).toBe(204);
    expect((await dev('GET', '/api/v1/jobs/hello:same')).status).toBe(404);
    expect((await ops('GET', '/api/v1/jobs/hello:same')).body.run_id).toBe(first);
    expect((await ops('GET', '/api/v1/jobs/hello:same/stdout')).text).toContain('Hello, Ops!');
  });

  it('holds for what an Idempotency-Key stands for', async () => {
    const send = async (call: Call): Promise<string> =>
      (await call('POST', '/api/v1/jobs', { playbook: 'hello.yml' }, { 'idempotency-key': 'one' })).body.run_id;
    const [mine, theirs, again] = [await send(ops), await send(dev), await send(ops)];
    expect(again).toBe(mine);
    expect(theirs).not.toBe(mine);
  });

  it('can not be got round by naming a tenant in a request', async () => {
    const more = [{ tenant: 'ops' }, { playbook_name: 'ops/hello' }, { name: '../ops' }];
    for (const field of more)
      expect((await dev('POST', '/api/v1/jobs', { playbook: 'hello.yml', ...field })).status).toBe(422);
    for (const id of ['ops%2Fhello:same', '..%2Fops%2Fhello:same', 'ops:hello:same'])
      expect((await dev('GET', `/api/v1/jobs/${id}`)).status).toBe(404);
  });
});

describe("another tenant's job", () => {
  it('is not there: not to be seen, read, canceled or deleted, and not to be told from one that never was', async () => {
    const { body: submitted } = await ops('POST', '/api/v1/jobs', service.gated('hidden'));
    await until('it to run', async () => (await ops('GET', '/api/v1/jobs/gate:hidden')).body.status === 'running');

    for (const query of ['', `?run=${submitted.run_id}`]) {
      for (const [method, rest] of [
        ['GET', ''],
        ['GET', '/stdout'],
        ['GET', '/runs'],
        ['POST', '/cancel'],
        ['POST', '/abandon'],
        ['DELETE', ''],
      ] as const) {
        if (rest === '/runs' && query !== '') continue;
        const body = rest === '/abandon' ? { reason: 'its node is gone' } : undefined;
        const hidden = await dev(method, `/api/v1/jobs/gate:hidden${rest}${query}`, body);
        const missing = await dev(method, `/api/v1/jobs/gate:missing${rest}${query}`, body);
        expect(hidden.status, `${method} ${rest}${query}`).toBe(404);
        expect(hidden.text.replaceAll('hidden', 'missing')).toBe(missing.text);
      }
    }

    const listed = async (call: Call, query: string): Promise<string[]> =>
      (await call('GET', `/api/v1/jobs?${query}`)).body.items.map((item: any) => item.job_id);
    await until('it to be listed', async () => (await listed(ops, 'status=running')).includes('gate:hidden'));
    for (const query of ['', 'name=hidden', 'tenant=ops', 'tenant=ops,dev&status=running', "tenant=' OR tenant='ops"])
      expect(await listed(dev, query)).not.toContain('gate:hidden');
    expect((await dev('GET', '/api/v1/jobs/counts?name=hidden')).body.total).toBe(0);
    expect((await ops('GET', '/api/v1/jobs/counts?name=hidden')).body.total).toBe(1);
    const { next_cursor: theirs } = (await ops('GET', '/api/v1/jobs?limit=1')).body;
    expect((await dev('GET', `/api/v1/jobs?limit=1&cursor=${theirs}`)).status).toBe(422);

    const attemptsOf = async (call: Call): Promise<string[]> =>
      (await call('GET', '/api/v1/nodes')).body.items.flatMap((node: any) =>
        node.attempts.map((one: any) => one.job_id),
      );
    await until('the node to list it', async () => (await attemptsOf(ops)).includes('gate:hidden'));
    expect(await attemptsOf(dev)).not.toContain('gate:hidden');

    expect((await ops('GET', '/api/v1/jobs/gate:hidden')).body.status).toBe('running');
    service.file('hidden.gate', '');
    expect(await ended(ops, 'gate:hidden')).toMatchObject({ status: 'successful', run_id: submitted.run_id });
  });

  it('does not stand in the way of a name, or lend its spec', async () => {
    await ops('POST', '/api/v1/jobs', { playbook: 'hello.yml', name: 'taken', extra_vars: { name: 'Ops' } });
    const answer = await dev('POST', '/api/v1/jobs', { playbook: 'hello.yml', name: 'taken' });
    expect(answer).toMatchObject({ status: 202, body: { created: true } });
  });
});

describe('a running service', () => {
  it('takes tokens that are made, and refuses those that are revoked, without a restart', async () => {
    const api = service.processesOf('api').map(({ pid }) => pid);
    const text = await makeToken(service.environment, 'late', 'jobs:read');
    const late = callWith(text);
    expect((await late('GET', '/api/v1/playbooks')).status).toBe(200);
    await runToken(service.environment, 'revoke', text.split('_')[1]!);
    expect((await late('GET', '/api/v1/playbooks')).status).toBe(401);
    expect((await ops('GET', '/api/v1/playbooks')).status).toBe(200);
    expect(service.processesOf('api').map(({ pid }) => pid)).toEqual(api);
  });

  it('keeps tokens out of its logs and its data, and names them there by their ids', async () => {
    await ops('POST', '/api/v1/jobs', { playbook: 'hello.yml', name: 'logged' });
    const log = readFileSync(path.join(service.dataDir, 'logs', 'api.log'), 'utf8');
    expect(log).toContain(texts.ops.split('_')[1]);
    const everything = log + readFileSync(path.join(service.dataDir, 'tokens.json'), 'utf8') + service.output;
    for (const text of Object.values(texts)) expect(everything).not.toContain(text.split('_')[2]);
  });
});
