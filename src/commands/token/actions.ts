import type { Config } from '../../config.js';
import { standingOf, type Scope, type TokenRecord } from '../../tokens/record.js';
import { mintToken } from '../../tokens/secret.js';
import { TokenFile } from '../../tokens/token-file.js';
import { changeTokens } from './change.js';
import { tableOf } from './table.js';

/** There is no token with the id that was given. */
export class NoSuchToken extends Error {
  override readonly name = 'NoSuchToken';
}

export interface NewToken {
  tenant: string;
  scopes: Scope[];
  /** RFC 3339 UTC; never if not given. */
  expires?: string;
  note?: string;
}

/** Makes a token and prints it: the token alone on standard output, the rest on standard error. */
export async function createToken(config: Config, { tenant, scopes, expires, note }: NewToken): Promise<void> {
  const { id, text, hash } = mintToken();
  const record: TokenRecord = {
    id,
    tenant,
    scopes,
    hash,
    created_at: new Date().toISOString(),
    ...(note !== undefined && { note }),
    ...(expires !== undefined && { expires_at: expires }),
  };
  const isFirst = await changeTokens(config, (tokens) => ({
    tokens: [...tokens, record],
    answer: tokens.length === 0,
  }));
  const until = expires === undefined ? 'until it is revoked' : `until ${expires}`;
  tell(`Token ${id} of tenant ${tenant}, with ${scopes.join(', ')}, ${until}. Keep it: it is not shown again.`);
  if (isFirst) tell('It is the first one: from now on every caller of the API needs a token.');
  process.stdout.write(`${text}\n`);
}

/** Prints the tokens, oldest first. */
export async function listTokens({ tokens: { file } }: Config): Promise<void> {
  const tokens = await new TokenFile(file).tokens();
  if (tokens.length === 0) return tell(`There are no tokens in ${file}.`);
  const rows = tokens.map((token) => [
    token.id,
    token.tenant,
    token.scopes.join(','),
    standingOf(token),
    token.created_at,
    token.expires_at ?? 'never',
    token.note ?? '',
  ]);
  process.stdout.write(tableOf([['ID', 'TENANT', 'SCOPES', 'STATE', 'CREATED', 'EXPIRES', 'NOTE'], ...rows]));
}

/** Revokes a token; one that was revoked before stays so. @throws NoSuchToken */
export async function revokeToken(config: Config, id: string): Promise<void> {
  const { before, left } = await changeTokens(config, (tokens) => {
    const before = tokens.find((token) => token.id === id);
    if (before === undefined) throw new NoSuchToken('There is no token with this id. npm run token -- list shows all.');
    const revoked: TokenRecord = { ...before, revoked_at: before.revoked_at ?? new Date().toISOString() };
    const after = tokens.map((token) => (token.id === id ? revoked : token));
    return { tokens: after, answer: { before, left: after.filter((token) => standingOf(token) === 'valid').length } };
  });
  if (before.revoked_at === undefined) tell(`Token ${id} of tenant ${before.tenant} is revoked.`);
  else tell(`Token ${id} of tenant ${before.tenant} was revoked already, at ${before.revoked_at}.`);
  if (left > 0) return;
  const { file } = config.tokens;
  tell(
    `No valid token is left: every caller is refused. Make one, or end the service and remove ${file} to have none.`,
  );
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}
