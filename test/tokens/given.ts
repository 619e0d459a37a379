import { TokenFile, writeTokens } from '../../src/tokens/token-file.js';
import type { TokenRecord } from '../../src/tokens/record.js';
import { mintToken } from '../../src/tokens/secret.js';

/** A token that is in the file. */
export interface GivenToken {
  id: string;
  text: string;
  /** The header that sends it. */
  header: { authorization: string };
}

/** Puts a token into a tokens file, beside those that are there. */
export async function giveToken(file: string, more: Partial<TokenRecord> = {}): Promise<GivenToken> {
  const { id, text, hash } = mintToken();
  const record: TokenRecord = {
    id,
    hash,
    tenant: 'ops',
    scopes: ['admin'],
    created_at: new Date().toISOString(),
    ...more,
  };
  await writeTokens(file, [...(await new TokenFile(file).tokens()), record]);
  return { id, text, header: { authorization: `Bearer ${text}` } };
}

/** Changes a token in the file. */
export async function changeToken(file: string, id: string, change: Partial<TokenRecord>): Promise<void> {
  const tokens = await new TokenFile(file).tokens();
  await writeTokens(
    file,
    tokens.map((token) => (token.id === id ? { ...token, ...change } : token)),
  );
}
