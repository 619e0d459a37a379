import { hostFilesOf, type HostFiles } from '../../store/host-files.js';
import type { FindHosts } from '../../targets/found-hosts.js';
import type { TargetHost } from '../../targets/host.js';
import type { InventoryFiles } from '../../targets/inventory-files.js';
import type { TargetTools } from '../../targets/task-on-host.js';
import type { TargetSpec } from '../../job/target-protocol.js';
import { keyOf, type AttemptInTemporal, type NodeContext } from '../context.js';

/** What the activities for target hosts work with, besides what all activities of a node do. */
export interface TargetContext extends NodeContext {
  targets: TargetTools & {
    inventories: InventoryFiles;
    find: FindHosts;
  };
}

/** How the hosts of a job are reached, but for what differs between them. */
export async function wayTo(
  { targets }: TargetContext,
  { inventory, extra_vars, become }: TargetSpec,
): Promise<Pick<TargetHost, 'inventory' | 'extraVars' | 'become'>> {
  return {
    inventory: await targets.inventories.inventory(inventory),
    extraVars: await targets.inventories.variables(extra_vars),
    become,
  };
}

/** What this node keeps of an attempt's host. */
export function filesOf({ attempts }: NodeContext, ref: AttemptInTemporal, host: string): HostFiles {
  return hostFilesOf(attempts.folderOf(keyOf(ref)), host);
}
