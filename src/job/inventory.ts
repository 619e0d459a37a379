import { z } from 'zod';
import { isHostName, refusedVariable, variablePattern } from './variables.js';

/** A group of an inline inventory, in the shape of Ansible's YAML inventories. */
export interface InventoryGroup {
  hosts?: Record<string, Record<string, unknown> | null> | undefined;
  vars?: Record<string, unknown> | undefined;
  children?: Record<string, InventoryGroup | null> | undefined;
}

const Variables = z.record(z.string(), z.unknown()).superRefine((variables, context) => {
  for (const [name, value] of Object.entries(variables)) {
    const refusal = refusedVariable(name, value);
    if (refusal !== undefined) context.addIssue({ code: 'custom', path: [name], message: refusal });
  }
});

const Hosts = z.record(z.string(), Variables.nullable()).superRefine((hosts, context) => {
  for (const host of Object.keys(hosts)) {
    if (!isHostName(host)) context.addIssue({ code: 'custom', path: [host], message: `"${host}" is not a host name` });
  }
});

const Group: z.ZodType<InventoryGroup> = z
  .strictObject({
    hosts: Hosts.optional(),
    vars: Variables.optional(),
    get children() {
      return Groups.optional();
    },
  })
  .meta({ id: 'InventoryGroup', description: "A group, in the shape of Ansible's YAML inventories" });

const Groups: z.ZodType<Record<string, InventoryGroup | null>> = z
  .record(z.string(), z.union([Group, z.null()]))
  .superRefine((groups, context) => {
    for (const group of Object.keys(groups)) {
      if (!variablePattern.test(group))
        context.addIssue({ code: 'custom', path: [group], message: `"${group}" is not a group name` });
    }
  });

const HostListOrFile = z
  .string()
  .min(1)
  .max(100_000)
  .superRefine((value, context) => {
    const refusal = value.includes(',') ? refusedHostList(value) : refusedFile(value);
    if (refusal !== undefined) context.addIssue({ code: 'custom', message: refusal });
  });

/** A host list (`a,b` or `a,`), a file below the inventories folder, or groups inline. */
export const Inventory = z.union([HostListOrFile, Groups]);
export type Inventory = z.infer<typeof Inventory>;

/** The hosts of a host list such as `localhost,` or `a,b`. */
export function hostsOfList(list: string): string[] {
  return list
    .split(',')
    .map((host) => host.trim())
    .filter((host) => host !== '');
}

function refusedHostList(list: string): string | undefined {
  const hosts = hostsOfList(list);
  if (hosts.length === 0) return 'names no host';
  const wrong = hosts.find((host) => !isHostName(host));
  return wrong === undefined ? undefined : `"${wrong}" is not a host name`;
}

function refusedFile(file: string): string | undefined {
  if (file.startsWith('/') || file.split('/').includes('..'))
    return 'a file below the inventories folder, without a leading / or ..';
  return /^[A-Za-z0-9_.][A-Za-z0-9_./@+=-]*$/.test(file)
    ? undefined
    : 'a host list (with a comma, as "localhost,"), or a file below the inventories folder';
}
