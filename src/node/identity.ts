import { createHash } from 'node:crypto';
import { readFileSync, realpathSync, statSync } from 'node:fs';
import os from 'node:os';
import { isErrno } from '../disk/errno.js';

/**
 * The id of the node that works on a data folder. It is bound to the machine and the folder, so that a copy of the
 * folder is another node and starts nothing of the first one's (R8). `override` is the NODE_ID of a restore.
 */
export function nodeIdOf(dataDir: string, override?: string): string {
  return override ?? `node-${bindingOf(dataDir)}`;
}

/** Tells the data folder on this machine from any other, and from its copies. */
export function bindingOf(dataDir: string): string {
  const folder = realpathSync(dataDir);
  const { ino } = statSync(folder, { bigint: true });
  const hash = createHash('sha256')
    .update(JSON.stringify([machineId(), folder, String(ino)]))
    .digest('hex');
  return hash.slice(0, 12);
}

/** The host's name only where there is nothing better: it may change. */
function machineId(): string {
  try {
    const id = readFileSync('/etc/machine-id', 'utf8').trim();
    if (id !== '') return id;
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EACCES')) throw error;
  }
  return os.hostname();
}
