import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Config } from '../config.js';
import { guarded, lockHeld } from './guard.js';

/** A lock that was not given: `held` says whether another process has it; the message is what is known of that. */
export class LockRefused extends Error {
  override readonly name = 'LockRefused';

  constructor(
    message: string,
    readonly held: boolean,
  ) {
    super(message);
  }
}

/** A kernel lock that this process has until it releases it or ends, however it ends. */
export interface Lock {
  release(): Promise<void>;
}

/**
 * Takes a kernel lock for this process. Node can't hold one, so a small helper does; it ends with us.
 * @param lock.file made if it isn't there
 * @param lock.waitMs how long its holder may take to release it
 * @param lost called if the helper is ended by someone else: then nothing keeps others out any more
 * @throws LockRefused
 */
export async function takeLock(
  config: Config,
  lock: { file: string; waitMs: number },
  lost: () => void,
): Promise<Lock> {
  const [program = '', ...args] = guarded(config, ['sh', '-c', 'echo held; exec cat >&2'], lock);
  const helper = spawn(program, args, { detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  helper.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));

  const held = once(helper.stdout, 'data').then(() => undefined);
  const closed = once(helper, 'close').then(([code]) => code as number | null);
  const code = await Promise.race([held, closed]);
  if (code !== undefined) throw new LockRefused(said.trim(), code === lockHeld);

  helper.once('close', lost);
  return {
    async release(): Promise<void> {
      helper.off('close', lost);
      helper.stdin.end();
      await closed;
    },
  };
}
