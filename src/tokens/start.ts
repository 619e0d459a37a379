import { standingOf } from './record.js';
import { TokenFile, TokensError } from './token-file.js';

/** The command that makes a token. */
export const makeOne = 'npm run token -- create --tenant NAME --scopes jobs:read,jobs:write';

/** What decides whether a service may start without tokens. */
export interface TokenNeed {
  host: string;
  /** Whether `host` is an address that only this machine reaches. */
  loopback: boolean;
  file: string;
  /** Whether the environment names the file: then it is a mistake that it isn't there. */
  named: boolean;
}

/**
 * Makes sure that a service which other machines reach has tokens, and that a tokens file can be read.
 * @returns what the person who starts it should know; undefined if that is nothing
 * @throws TokensError
 */
export async function requireTokens({ host, loopback, file, named }: TokenNeed): Promise<string | undefined> {
  const tokens = await new TokenFile(file).tokens();
  if (tokens.length === 0) {
    if (!loopback)
      throw new TokensError(
        `HOST=${host} lets other machines in, so callers need tokens, and ${file} has none. Make one (${makeOne}), or unset HOST.`,
      );
    if (named)
      throw new TokensError(
        `TOKENS_FILE=${file} has no tokens. Make one (${makeOne}), or unset TOKENS_FILE to let everybody on this machine in.`,
      );
    return undefined;
  }
  if (tokens.some((token) => standingOf(token) === 'valid')) return undefined;
  return `All tokens in ${file} are revoked or expired: every caller is refused. Make one: ${makeOne}`;
}
