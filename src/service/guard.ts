import { join } from 'node:path';
import type { Config } from '../config.js';

/** Exit code of the guard when another process holds the lock. */
export const lockHeld = 75;

/**
 * The command line that runs `program` so that it ends with us and, with a lock, is the only one of its kind (see python/guard).
 * @param lock.file must never be opened by the program itself: closing it would free the lock
 * @param lock.waitMs how long a predecessor may take to end
 */
export function guarded(config: Config, program: readonly string[], lock?: { file: string; waitMs: number }): string[] {
  const holding = lock === undefined ? [] : ['--lock', lock.file, '--wait', String(lock.waitMs / 1000)];
  const guard = [config.python, '-I', '-S', join(config.root, 'python', 'guard')];
  return [...guard, '--parent', String(process.pid), ...holding, '--', ...program];
}
