import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { requireTokens } from '../../src/tokens/start.js';
import { TokensError } from '../../src/tokens/token-file.js';
import { giveToken } from './given.js';

let file: string;
beforeEach(async () => {
  file = path.join(await mkdtemp(path.join(tmpdir(), 'longhaul-tokens-')), 'tokens.json');
});
afterEach(() => rm(path.dirname(file), { recursive: true }));

const local = { host: '127.0.0.1', loopback: true, named: false };
const reached = { host: '0.0.0.0', loopback: false, named: false };

it('a service that only this machine reaches needs no tokens, unless their file is named', async () => {
  expect(await requireTokens({ ...local, file })).toBeUndefined();
  await expect(requireTokens({ ...local, named: true, file })).rejects.toThrow(TokensError);
});

it('a service that other machines reach needs one, and starts with those that are revoked or expired, saying so', async () => {
  await expect(requireTokens({ ...reached, file })).rejects.toThrow(/npm run token -- create/);
  await giveToken(file, { revoked_at: '2026-01-01T00:00:00Z' });
  await giveToken(file, { expires_at: '2026-01-01T00:00:00Z' });
  for (const service of [reached, local])
    expect(await requireTokens({ ...service, file })).toContain('every caller is refused');
  await giveToken(file);
  expect(await requireTokens({ ...reached, file })).toBeUndefined();
});
