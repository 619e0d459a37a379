import path from 'node:path';
import type { Config } from '../../config.js';
import { makeFolder } from '../../disk/durable.js';
import { LockRefused, takeLock } from '../../service/lock.js';
import type { TokenRecord } from '../../tokens/record.js';
import { TokenFile, TokensError, writeTokens } from '../../tokens/token-file.js';

const waitMs = 30_000;

/** Another process has been changing the tokens file for long. */
export class FileBusy extends Error {
  override readonly name = 'FileBusy';
}

/**
 * Changes the tokens file. Of changes at the same time none is lost: a lock lets them in one by one, and the file is
 * replaced whole, so that a service that reads it meanwhile sees it before or after.
 * @param change makes the new list of the present one, and an answer
 * @throws FileBusy, TokensError, and what `change` throws; nothing has changed then
 */
export async function changeTokens<T>(
  config: Config,
  change: (tokens: readonly TokenRecord[]) => { tokens: TokenRecord[]; answer: T },
): Promise<T> {
  const { file } = config.tokens;
  try {
    await makeFolder(path.dirname(file));
  } catch (error) {
    throw new TokensError(`There is no folder for ${file}, and none can be made: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const lost = new AbortController();
  const lock = await lockOf(config, file, () => lost.abort());
  try {
    const { tokens, answer } = change(await new TokenFile(file).tokens());
    if (lost.signal.aborted)
      throw new FileBusy(`The lock on ${file} was lost; nothing was changed. Repeat the command.`);
    await writeTokens(file, tokens);
    return answer;
  } finally {
    await lock.release();
  }
}

async function lockOf(config: Config, file: string, lost: () => void): ReturnType<typeof takeLock> {
  try {
    return await takeLock(config, { file: `${file}.lock`, waitMs }, lost);
  } catch (error) {
    if (!(error instanceof LockRefused)) throw error;
    if (!error.held)
      throw new TokensError(`${file} can't be locked: ${error.message.split('\n').at(-1)}`, { cause: error });
    throw new FileBusy(`${file} is being changed: ${error.message}. Repeat the command.`, { cause: error });
  }
}
