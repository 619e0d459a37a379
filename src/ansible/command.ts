import path from 'node:path';
import type { Inventory } from '../job/inventory.js';
import type { PlaybookSpec } from '../job/kinds/playbook.js';
import { inventoryOf } from './inventory.js';
import { unsafeYaml } from './unsafe-yaml.js';

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
export function playbookCommand(spec: PlaybookSpec, folder: string, setup: AnsibleSetup): PlaybookCommand {
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
  const given = inventoryOf(inventory, setup);
  if ('option' in given) return given.option;
  files['inventory.yml'] = given.yaml;
  return path.join(folder, 'inventory.yml');
}
