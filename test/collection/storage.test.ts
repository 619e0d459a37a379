import { execFile, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { loadConfig } from '../../src/config.js';
import { until } from '../service/processes.js';
import { backends, describeOn, type Backend, type BackendName } from './backends.js';
import { Proxy, type Said } from './proxy.js';

const run = promisify(execFile);
const { root, python } = loadConfig({});
const folder = mkdtempSync(path.join(os.tmpdir(), 'lh-state-'));
const here = 'http://127.0.0.1:1';
afterAll(() => {
  rmSync(folder, { recursive: true });
});

for (const name of Object.keys(backends) as BackendName[]) {
  describeOn(name, `state on ${name}`, (fresh) => {
    test('is found by its name, whatever that is, listed, and removed only as it was seen', async () => {
      const { stdout } = await call('storage.py', fresh());
      expect(stdout).toBe('found 30\nkept every promise\n');
    });

    test('of controllers that reserve one job at once, one gets it', async () => {
      const rounds = 5;
      const { stdout } = await call('race.py', fresh(), String(rounds), '4');
      const once = Array<number>(rounds).fill(1);
      expect(
        stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as unknown),
      ).toEqual([{ reserve: once }, { void: once }, { rerun: once }]);
    });

    if (name === 's3') testServersOfS3(fresh);
  });
}

test('a controller that is killed while it writes leaves the old document or the new one, and no hindrance', async () => {
  const settings = JSON.stringify({ root: path.join(folder, 'killed') });
  const document = path.join(folder, 'killed', 'h', 'p', 'j.json');
  for (let round = 0; round < 12; round += 1) {
    const writer = spawn(python, [path.join(import.meta.dirname, 'writer.py'), settings], { env: environment({}) });
    const before = written(document);
    await until('something to be written', () => written(document) !== before);
    await delay(randomInt(30));
    writer.kill('SIGKILL');
    await until('the end of the writer', () => writer.signalCode !== null);
    expect(JSON.parse(readFileSync(document, 'utf8'))).toMatchObject({
      version: 1,
      job_name: 'j',
      metadata: { whole: true },
    });
  }
  expect(readdirSync(path.dirname(document)).filter((name) => name !== 'j.json').length).toBeLessThanOrEqual(1);
}, 600_000);

for (const [what, said] of Object.entries<Said>({
  'a page': { status: 404, type: 'text/plain', body: 'default backend - 404' },
  'another service': { status: 404, type: 'application/json', body: '{"detail": "Not Found"}' },
  'a service at another path': {
    status: 404,
    type: 'application/problem+json',
    body: '{"type": "/problems/route-not-found"}',
  },
  'a missing bucket': { status: 404, type: 'application/xml', body: '<Error><Code>NoSuchBucket</Code></Error>' },
})) {
  test.each(['s3', 'longhaul'])(`${what} is not what "not recorded" is on %s`, async (backend) => {
    await using other = await Proxy.answering(said);
    const { stdout } = await call('refused.py', at(backend, other.endpoint));
    expect(stdout).toMatch(/^(get|save|remove|list): .*(HTTP 404|refuses|NoSuchBucket).*\n(?:.*\n){3}$/);
  });
}

const brokenProfile = path.join(folder, 'credentials');
writeFileSync(brokenProfile, 'aws_secret_access_key = secret');

test.each([
  ['an address without a scheme', at('longhaul', 'longhaul.example.com'), /not an http or https address/],
  ['a token of two lines', at('longhaul', here, { LONGHAUL_TOKEN: 'a\nsecret' }), /the token has characters/],
  ['a session token of two lines', at('s3', here, { AWS_SESSION_TOKEN: 'a\nsecret' }), /session_token has characters/],
  [
    'a broken profile',
    at('s3', here, { AWS_ACCESS_KEY_ID: '', AWS_SHARED_CREDENTIALS_FILE: brokenProfile }),
    /not a cred/,
  ],
])('%s is refused, and nothing secret shown', async (_what, backend, reason) => {
  const { stdout } = await call('refused.py', backend, 'get');
  expect(stdout).toMatch(reason);
  expect(stdout).not.toContain('secret');
});

test('a token may end with the line that it was read from', async () => {
  const type = 'application/problem+json';
  await using empty = await Proxy.answering({ status: 404, type, body: '{"type": "/problems/job-not-found"}' });
  const backend = at('longhaul', empty.endpoint, { LONGHAUL_TOKEN: 'secret\n' });
  await expect(call('refused.py', backend, 'get')).rejects.toThrow('get was taken for done: None');
});

test('a page is no list of objects', async () => {
  await using site = await Proxy.answering({ status: 200, type: 'text/html', body: '<html><br/></html>' });
  const { stdout } = await call('refused.py', at('s3', site.endpoint), 'list');
  expect(stdout).toContain('is no list of objects');
});

function testServersOfS3(fresh: () => Backend): void {
  test('a reservation whose answer is lost has been made all the same', async () => {
    const backend = fresh();
    await using proxy = await Proxy.losing('PUT', backend.endpoint);
    const through = { ...backend, variables: { ...backend.variables, async_job_s3_endpoint: proxy.endpoint } };
    const { stdout } = await call('race.py', through, '1', '1');
    expect(proxy.lost).toBe(1);
    expect(stdout).toContain('{"reserve": [1]}');
  });

  test('a server that takes no notice of conditions is refused', async () => {
    await using careless = await Proxy.answering((method) => (method === 'GET' ? noSuchKey : { status: 200 }));
    await expect(call('writer.py', at('s3', careless.endpoint))).rejects.toThrow(/takes no notice of if-none-match/);
  });
}

const noSuchKey: Said = { status: 404, type: 'application/xml', body: '<Error><Code>NoSuchKey</Code></Error>' };

/** A backend of which nothing is known but where its server is. */
function at(name: string, endpoint: string, env: Record<string, string> = {}): Pick<Backend, 'variables' | 'env'> {
  const server = { async_job_s3_endpoint: endpoint, async_job_longhaul_url: endpoint };
  return {
    variables: { async_job_backend: name, async_job_s3_bucket: 'b', ...server },
    env: { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 's', ...env },
  };
}

/** Runs one of the scripts beside this file against a backend. */
function call(script: string, { variables, env }: Pick<Backend, 'variables' | 'env'>, ...more: string[]) {
  const settings = Object.entries(variables).map(([name, value]) => [name.replace('async_job_', ''), value]);
  const given = { root: path.join(folder, String(randomInt(1e9))), ...(Object.fromEntries(settings) as object) };
  return run(python, [path.join(import.meta.dirname, script), JSON.stringify(given), ...more], {
    env: environment(env),
  });
}

function environment(more: Record<string, string>): Record<string, string> {
  return { PATH: process.env.PATH ?? '', HOME: folder, PYTHONPATH: root, PYTHONDONTWRITEBYTECODE: '1', ...more };
}

function written(file: string): string {
  try {
    const { ino, mtimeMs } = statSync(file);
    return `${ino} ${mtimeMs}`;
  } catch {
    return '';
  }
}
