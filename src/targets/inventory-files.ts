import { createHash } from 'node:crypto';
import { stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import { inventoryOf } from '../ansible/inventory.js';
import { unsafeYaml } from '../ansible/unsafe-yaml.js';
import { createOnce, makeFolder, namesIn, removeIfThere } from '../disk/durable.js';
import { isErrno } from '../disk/errno.js';
import type { Inventory } from '../job/inventory.js';

const keptMs = 3_600_000;

/** Inventories and variables that came with jobs, as files for Ansible: the same one for the same content. */
export class InventoryFiles {
  private removedAt = 0;

  constructor(
    private readonly folder: string,
    private readonly setup: { inventoriesDir: string; python: string },
  ) {}

  /** An inventory as Ansible's option takes it. */
  async inventory(inventory: Inventory): Promise<string> {
    const given = inventoryOf(inventory, this.setup);
    return 'option' in given ? given.option : this.file(given.yaml);
  }

  /** A file with extra variables; null where there are none. */
  async variables(variables: Record<string, unknown>): Promise<string | null> {
    return Object.keys(variables).length === 0 ? null : this.file(unsafeYaml(variables));
  }

  /**
   * Removes, every half hour, those that were not asked for in the last hour. They may have secrets in them.
   * @param askForUsed asks for those that are in use
   */
  async removeUnused(askForUsed: () => Promise<void>): Promise<void> {
    if (Date.now() - this.removedAt < keptMs / 2) return;
    await askForUsed();
    const latest = Date.now() - keptMs;
    for (const name of await namesIn(this.folder)) {
      const file = path.join(this.folder, name);
      if ((await askedAt(file)) < latest) await removeIfThere(file);
    }
    this.removedAt = Date.now();
  }

  private async file(content: string): Promise<string> {
    const name = createHash('sha256').update(content).digest('hex').slice(0, 32);
    const file = path.join(this.folder, `${name}.yml`);
    try {
      const now = new Date();
      await utimes(file, now, now);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
      await makeFolder(this.folder);
      await createOnce(file, content);
    }
    return file;
  }
}

/** When a file was asked for last, ms since 1970; one that is just being made may be gone, and counts as new. */
async function askedAt(file: string): Promise<number> {
  try {
    return (await stat(file)).mtimeMs;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return Infinity;
    throw error;
  }
}
