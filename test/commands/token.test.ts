import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { loadConfig } from '../../src/config.js';
import { guarded } from '../../src/service/guard.js';
import { isSecretOf, parseToken } from '../../src/tokens/secret.js';
import { TokenFile } from '../../src/tokens/token-file.js';
import { makeToken, runToken } from './run-token.js';

/** An environment with a data folder that isn't there yet. */
function fresh(): { env: { DATA_DIR: string }; dataDir: string; file: string } {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-token-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const dataDir = join(folder, 'data');
  return { env: { DATA_DIR: dataDir }, dataDir, file: join(dataDir, 'tokens.json') };
}

const create = ['create', '--tenant', 'ops', '--scopes', 'jobs:write,jobs:read'];

describe('a token that is made', () => {
  test('is printed alone and once; the file has its hash, is its owner’s only, and says what was asked for', async () => {
    const { env, dataDir, file } = fresh();
    const before = Date.now();
    const { code, printed, told } = await runToken(env, ...create, '--expires', '30d', '--note', 'nightly runs');
    expect({ code, lines: printed.split('\n').length }).toEqual({ code: 0, lines: 2 });
    const { id, secret } = parseToken(printed.trim())!;
    expect(told).toContain(id);
    expect(told).not.toContain(secret);

    const [token, ...others] = await new TokenFile(file).tokens();
    expect(others).toEqual([]);
    expect(token).toMatchObject({ id, tenant: 'ops', scopes: ['jobs:read', 'jobs:write'], note: 'nightly runs' });
    expect(isSecretOf(token!, secret)).toBe(true);
    const days = (Date.parse(token!.expires_at!) - before) / 86_400_000;
    expect(days).toBeGreaterThanOrEqual(30);
    expect(days).toBeLessThan(30.01);
    expect(readFileSync(file, 'utf8')).not.toContain(secret);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect((await runToken(env, 'list')).printed).not.toContain(secret);
  });

  test('is in the list, and stays there when it is revoked', async () => {
    const { env } = fresh();
    const { id } = parseToken(await makeToken(env, 'ops', 'admin'))!;
    expect((await runToken(env, 'list')).printed).toMatch(new RegExp(`^${id} +ops +admin +valid `, 'm'));
    const revoked = await runToken(env, 'revoke', id);
    expect(revoked).toMatchObject({ code: 0, printed: '' });
    expect(revoked.told).toContain('No valid token is left');
    expect((await runToken(env, 'list')).printed).toMatch(new RegExp(`^${id} +ops +admin +revoked `, 'm'));
    expect(await runToken(env, 'revoke', id)).toMatchObject({ code: 0, told: expect.stringContaining('already') });
  });

  test('goes where TOKENS_FILE says', async () => {
    const { env, dataDir, file } = fresh();
    const elsewhere = join(dataDir, 'elsewhere', 'callers.json');
    await makeToken({ ...env, TOKENS_FILE: elsewhere }, 'ops', 'admin');
    expect(await new TokenFile(elsewhere).tokens()).toHaveLength(1);
    expect(existsSync(file)).toBe(false);
  });
});

describe('of commands at the same time', () => {
  test('none loses what another did, and none leaves anything aside', async () => {
    const { env, dataDir, file } = fresh();
    const { id } = parseToken(await makeToken(env, 'first', 'admin'))!;
    const [made] = await Promise.all([
      Promise.all(Array.from({ length: 7 }, (_, n) => makeToken(env, `tenant-${n}`, 'jobs:read'))),
      runToken(env, 'revoke', id),
    ]);
    const tokens = await new TokenFile(file).tokens();
    expect(tokens.map((token) => token.id).sort()).toEqual([id, ...made.map((text) => parseToken(text)!.id)].sort());
    expect(tokens.find((token) => token.id === id)?.revoked_at).toBeDefined();
    expect(readdirSync(dataDir).sort()).toEqual(['tokens.json', 'tokens.json.lock']);
  });

  test('one waits for another, and goes on when that is killed', async () => {
    const { env, file } = fresh();
    await makeToken(env, 'ops', 'admin');
    const lock = { file: `${file}.lock`, waitMs: 0 };
    const [program = '', ...args] = guarded(loadConfig(env), ['sh', '-c', 'echo held; exec cat'], lock);
    const holder = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    onTestFinished(() => void holder.kill('SIGKILL'));
    await once(holder.stdout, 'data');

    const waiting = makeToken(env, 'dev', 'admin');
    // One that only reads is not kept waiting: by its end the other would have been done.
    for (let reads = 0; reads < 2; reads += 1) expect((await runToken(env, 'list')).printed).not.toContain('dev');
    holder.kill('SIGKILL');
    await waiting;
    expect((await runToken(env, 'list')).printed).toContain('dev');
  });
});

describe('a command that can not be done says why, changes nothing, and ends with a code of its own', () => {
  test.each([
    [['create', '--tenant', 'ops'], /--scopes/],
    [['create', '--scopes', 'admin'], /--tenant/],
    [['create', '--tenant', 'a/b', '--scopes', 'admin'], /a\/b.*1-200 characters/],
    [['create', '--tenant', 'ops', '--scopes', 'jobs:read,all'], /"all".*jobs:read, jobs:write, tasks:run, admin/],
    [['create', '--tenant', 'ops', '--scopes', ''], /jobs:read/],
    [[...create, '--expires', 'tomorrow'], /30d/],
    [[...create, '--expires', '0d'], /not in the future/],
    [[...create, '--expires', '2020-01-01T00:00:00Z'], /not in the future/],
    [[...create, '--note', 'two\nlines'], /one line/],
    [[...create, 'more'], /too many arguments/],
    [['revoke'], /id/],
    [['remove'], /unknown command/],
    [[], /Usage: npm run token/],
  ])('wrong usage is a 2: %j', async (args, message) => {
    const { env, dataDir } = fresh();
    const { code, printed, told } = await runToken(env, ...args);
    expect({ code, printed }).toEqual({ code: 2, printed: '' });
    expect(told).toMatch(message);
    expect(existsSync(dataDir)).toBe(false);
  });

  test('an id that there is not is a 1', async () => {
    const { env } = fresh();
    await makeToken(env, 'ops', 'admin');
    expect(await runToken(env, 'revoke', 'nope')).toMatchObject({ code: 1, told: expect.stringContaining('list') });
  });

  test('a file that can not be used is a 78, and is left as it is', async () => {
    const { env, file } = fresh();
    await makeToken(env, 'ops', 'admin');
    writeFileSync(file, '{"version": 1, "tok');
    for (const args of [create, ['list'], ['revoke', '0123456789ab']]) {
      const { code, printed, told } = await runToken(env, ...args);
      expect({ code, printed }).toEqual({ code: 78, printed: '' });
      expect(told).toContain(`${file} can't be used: it is not JSON`);
    }
    expect(readFileSync(file, 'utf8')).toBe('{"version": 1, "tok');
  });

  test('a configuration that can not be used is a 78', async () => {
    const { env } = fresh();
    expect(await runToken({ ...env, PORT: 'x' }, 'list')).toMatchObject({
      code: 78,
      told: expect.stringContaining('PORT=x'),
    });
  });

  test('help is none of these', async () => {
    const { code, printed } = await runToken(fresh().env, '--help');
    expect(code).toBe(0);
    for (const word of ['create', 'list', 'revoke', 'jobs:read', 'TOKENS_FILE', 'Exit codes'])
      expect(printed).toContain(word);
  });
});
