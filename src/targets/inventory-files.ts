import { createHash } from 'node:crypto';
import path from 'node:path';
import { inventoryOf } from '../ansible/inventory.js';
import { unsafeYaml } from '../ansible/unsafe-yaml.js';
import { createOnce, makeFolder } from '../disk/durable.js';
import type { Inventory } from '../job/inventory.js';

/** Inventories and variables that came with jobs, as files for Ansible: the same one for the same content. */
export class InventoryFiles {
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

  private async file(content: string): Promise<string> {
    const name = createHash('sha256').update(content).digest('hex').slice(0, 32);
    const file = path.join(this.folder, `${name}.yml`);
    await makeFolder(this.folder);
    await createOnce(file, content);
    return file;
  }
}
