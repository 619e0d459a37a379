import { realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { isErrno } from '../disk/errno.js';
import type { JobSpec } from '../job/spec.js';
import { Problem } from './problem.js';
import { pointerOf } from './validation.js';

/**
 * Refuses a `playbook` that leaves the playbooks folder by its name, before anything else about the body is judged.
 * @throws Problem `invalid-playbook-name`
 */
export function refusePathOutside(playbook: unknown): void {
  if (typeof playbook !== 'string') return;
  const isOutside = playbook.startsWith('/') || playbook.split(/[/\\]/).includes('..') || playbook.includes('\0');
  if (isOutside) throw invalidName();
}

/**
 * Makes sure that the playbook is a file below the playbooks folder, also when symbolic links are followed.
 * @throws Problem `playbook-not-found`, `invalid-playbook-name`
 */
export async function requirePlaybook(playbooksDir: string, playbook: string): Promise<void> {
  refusePathOutside(playbook);
  const found = await locate(playbooksDir, playbook);
  if (found === 'outside') throw invalidName();
  if (found === 'missing' || !found.isFile) throw new Problem('playbook-not-found', `Playbook not found: ${playbook}`);
}

/**
 * Makes sure that an inventory that names a file names one below the inventories folder.
 * @param within where in the body it is
 * @throws Problem `invalid-request`
 */
export async function requireInventory(
  inventoriesDir: string,
  inventory: JobSpec['inventory'],
  within: readonly PropertyKey[] = [],
): Promise<void> {
  if (typeof inventory !== 'string' || inventory.includes(',')) return;
  const found = await locate(inventoriesDir, inventory);
  if (found !== 'outside' && found !== 'missing') return;
  const detail = `no such file below the inventories folder: ${inventory} (a single host is written with a comma: "${inventory},")`;
  const pointer = pointerOf([...within, 'inventory']);
  throw new Problem('invalid-request', `${pointer}: ${detail}`, { errors: [{ pointer, detail }] });
}

/** Where a path below `folder` leads. */
async function locate(folder: string, below: string): Promise<'missing' | 'outside' | { isFile: boolean }> {
  try {
    const [root, target] = await Promise.all([realpath(folder), realpath(path.join(folder, below))]);
    if (!isBelow(root, target)) return 'outside';
    return { isFile: (await stat(target)).isFile() };
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG')) return 'missing';
    throw error;
  }
}

/** Whether `target` is below `root`; both without symbolic links. */
export function isBelow(root: string, target: string): boolean {
  return target.startsWith(root.endsWith(path.sep) ? root : root + path.sep);
}

function invalidName(): Problem {
  return new Problem(
    'invalid-playbook-name',
    'Invalid playbook name: give a path below the playbooks folder, without a leading / or ..',
  );
}
