import path from 'node:path';
import { hostsOfList, type Inventory } from '../job/inventory.js';
import type { JobSpec } from '../job/spec.js';

/** Where Ansible and its input are on this node. */
export interface AnsibleSetup {
  /** Longhaul's own folder (its Python is below it). */
  root: string;
  /** The Python that has ansible-core. */
  python: string;
  playbooksDir: string;
  inventoriesDir: string;
  /** Opens what is vaulted: a file with the password, or a program that prints it. */
  vaultPasswordFile?: string;
  /** The environment that playbooks get, before the attempt's marker. */
  env: Readonly<Record<string, string>>;
}

/** A job's `ansible-playbook` call: its arguments, and the files that go into the attempt folder. */
export interface PlaybookCommand {
  arguments: string[];
  files: Record<string, string>;
}

/**
 * Translates a spec into a call of ansible-playbook as one would make it in the playbooks folder. What the caller sent is data: values reach Ansible as
 * `--option=value` or in files in which every string is marked `!unsafe`, so that no template in them is evaluated.
 */
export function playbookCommand(spec: JobSpec, folder: string, setup: AnsibleSetup): PlaybookCommand {
  const files: Record<string, string> = {};
  const inventory = inventoryOption(spec.inventory, folder, setup, files);
  const options = [`--inventory=${inventory}`];
  if (setup.vaultPasswordFile !== undefined) options.push(`--vault-password-file=${setup.vaultPasswordFile}`);
  if (Object.keys(spec.extra_vars).length > 0) {
    files['extra_vars.yml'] = unsafeYaml(spec.extra_vars);
    options.push(`--extra-vars=@${path.join(folder, 'extra_vars.yml')}`);
  }
  if (spec.limit !== undefined) options.push(`--limit=${spec.limit}`);
  if (spec.tags.length > 0) options.push(`--tags=${spec.tags.join(',')}`);
  if (spec.skip_tags.length > 0) options.push(`--skip-tags=${spec.skip_tags.join(',')}`);
  if (spec.forks !== undefined) options.push(`--forks=${spec.forks}`);
  if (spec.check) options.push('--check');
  if (spec.diff) options.push('--diff');
  if (spec.become) options.push('--become');
  if (spec.verbosity > 0) options.push(`-${'v'.repeat(spec.verbosity)}`);
  return {
    arguments: [path.join(path.dirname(setup.python), 'ansible-playbook'), ...options, '--', spec.playbook],
    files,
  };
}

function inventoryOption(
  inventory: Inventory,
  folder: string,
  setup: AnsibleSetup,
  files: Record<string, string>,
): string {
  if (typeof inventory === 'string' && !inventory.includes(',')) return path.join(setup.inventoriesDir, inventory);
  const hosts = typeof inventory === 'string' ? hostsOfList(inventory) : undefined;
  if (hosts !== undefined && !hosts.includes('localhost')) return hosts.length === 1 ? `${hosts[0]},` : hosts.join(',');
  files['inventory.yml'] = hosts === undefined ? unsafeYaml(inventory as object) : withLocalhost(hosts, setup.python);
  return path.join(folder, 'inventory.yml');
}

/** `localhost` in a host list is the node itself, with the node's own Python, as Ansible's implicit localhost is. */
function withLocalhost(hosts: string[], python: string): string {
  const itself = { ansible_connection: 'local', ansible_python_interpreter: python };
  const entries = hosts.map((host) => [host, host === 'localhost' ? itself : null]);
  return unsafeYaml({ all: { hosts: Object.fromEntries(entries) as Record<string, unknown> } });
}

/**
 * A mapping that Ansible reads as data: `!unsafe` on it holds for every key and value below. Scalars are quoted where
 * YAML 1.1 would read them otherwise than JSON does.
 */
function unsafeYaml(mapping: object): string {
  return `!unsafe ${yaml(mapping)}\n`;
}

function yaml(value: unknown): string {
  if (typeof value === 'string') return yamlString(value);
  if (typeof value === 'number') return JSON.stringify(value).replace(/^(-?\d+)e/, '$1.0e');
  if (Array.isArray(value)) return `[${value.map(yaml).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return value === true || value === false ? String(value) : 'null';
  return `{${Object.entries(value)
    .map(([key, part]) => `? ${yamlString(key)} : ${yaml(part)}`)
    .join(', ')}}`;
}

/** A JSON string whose characters beyond printable ASCII are YAML escapes; lone surrogates become U+FFFD. */
function yamlString(value: string): string {
  return JSON.stringify(value.replace(/\p{Surrogate}/gu, '\ufffd')).replace(/[^\x20-\x7e]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0xfffd;
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}
