import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { replaceDurably } from '../disk/durable.js';

/**
 * Makes the folder of the embedded Temporal's database, which belongs to one node (R8). In a copied or moved data folder
 * the database is another node's: jobs that wait in it would be started there and here, so it is set aside.
 * @returns the folder, and what to tell the person who started the service if a database was set aside
 */
export async function openDatabaseFolder(
  dataDir: string,
  nodeId: string,
): Promise<{ folder: string; warning?: string }> {
  const folder = join(dataDir, 'temporal');
  const ownerFile = join(folder, 'node');
  const owner = existsSync(ownerFile) ? readFileSync(ownerFile, 'utf8').trim() : undefined;
  const isForeign = owner !== undefined && owner !== nodeId;
  const aside = `${folder}.of-${owner}.${Date.now()}`;
  if (isForeign) renameSync(folder, aside);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (owner !== nodeId) await replaceDurably(ownerFile, `${nodeId}\n`);
  if (!isForeign) return { folder };
  const warning =
    `This data folder was copied or moved from node ${owner}, so it is now node ${nodeId}, and that node's job list was set aside in ${aside}. ` +
    `If that node is gone for good and this is its restore: end this, put that folder back in place of ${folder}, and start with NODE_ID=${owner}.`;
  return { folder, warning };
}
