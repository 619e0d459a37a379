import path from 'node:path';
import { hostsOfList, type Inventory } from '../job/inventory.js';
import { unsafeYaml } from './unsafe-yaml.js';

/**
 * A job's inventory as Ansible takes it: an argument of `--inventory`, or the text of a YAML file whose path is to be that.
 * @param setup where inventory files are, and the Python that Ansible has on this machine
 */
export function inventoryOf(
  inventory: Inventory,
  setup: { inventoriesDir: string; python: string },
): { option: string } | { yaml: string } {
  if (typeof inventory !== 'string') return { yaml: unsafeYaml(inventory) };
  if (!inventory.includes(',')) return { option: path.join(setup.inventoriesDir, inventory) };
  const hosts = hostsOfList(inventory);
  if (hosts.includes('localhost')) return { yaml: withLocalhost(hosts, setup.python) };
  return { option: hosts.length === 1 ? `${hosts[0]},` : hosts.join(',') };
}

/** `localhost` in a host list is the node itself, with the node's own Python, as Ansible's implicit localhost is. */
function withLocalhost(hosts: string[], python: string): string {
  const itself = { ansible_connection: 'local', ansible_python_interpreter: python };
  const entries = hosts.map((host) => [host, host === 'localhost' ? itself : null]);
  return unsafeYaml({ all: { hosts: Object.fromEntries(entries) as Record<string, unknown> } });
}
