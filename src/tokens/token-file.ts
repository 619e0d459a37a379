import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import { replaceDurably } from '../disk/durable.js';
import { isErrno } from '../disk/errno.js';
import { TokenList, type TokenRecord } from './record.js';

const writableByOthers = 0o022;

/** The tokens file can't be used, or one is needed and isn't there. The message names it and the next step. */
export class TokensError extends Error {
  override readonly name = 'TokensError';
}

/** The tokens of a file, read again whenever it has changed, so that a token that was revoked is dead at once. */
export class TokenFile {
  #seen: string | undefined;
  #tokens: readonly TokenRecord[] = [];

  constructor(readonly path: string) {}

  /**
   * The tokens as they are now; none if there is no file.
   * @throws TokensError when there is a file that can't be used: that is never the same as having no tokens
   */
  async tokens(): Promise<readonly TokenRecord[]> {
    // Looked at before it is read: what changes in between is read again the next time.
    const seen = await fingerprintOf(this.path);
    if (seen === undefined) return [];
    if (seen !== this.#seen) {
      this.#tokens = await readTokens(this.path);
      this.#seen = seen;
    }
    return this.#tokens;
  }
}

async function readTokens(file: string): Promise<TokenRecord[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw unusable(file, (error as Error).message, error);
  }
  const parsed = TokenList.safeParse(jsonOf(file, text));
  if (!parsed.success) throw unusable(file, z.prettifyError(parsed.error).replace(/\s+/g, ' '), parsed.error);
  return parsed.data.tokens;
}

/**
 * Writes a tokens file durably, whole or not at all, readable to its owner only. Whoever calls holds the file's lock.
 * @throws TokensError
 */
export async function writeTokens(file: string, tokens: readonly TokenRecord[]): Promise<void> {
  try {
    await replaceDurably(file, `${JSON.stringify({ version: 1, tokens }, null, 2)}\n`);
  } catch (error) {
    throw new TokensError(`The tokens file ${file} can't be written: ${(error as Error).message}`, { cause: error });
  }
}

/** Changes with everything that a write to the file changes; undefined if there is none. */
async function fingerprintOf(file: string): Promise<string | undefined> {
  let found;
  try {
    found = await stat(file, { bigint: true });
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw unusable(file, (error as Error).message, error);
  }
  if ((Number(found.mode) & writableByOthers) !== 0)
    throw unusable(file, 'others than its owner may write to it, and so make tokens (chmod 600 keeps them out)');
  return [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ');
}

function jsonOf(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw unusable(file, 'it is not JSON', error);
  }
}

function unusable(file: string, why: string, cause?: unknown): TokensError {
  return new TokensError(
    `The tokens file ${file} can't be used: ${why}. Nobody is let in by a token until that is mended; a backup will do.`,
    { cause },
  );
}
