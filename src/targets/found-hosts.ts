import type { Host } from '../ansible/agent/protocol.js';

/** A host as Ansible resolves it from an inventory, or why that can't be told. */
export type FoundHost = Host;

/** The hosts that a pattern matches. @throws UnusableInventoryError; other errors say nothing of the inventory */
export type FindHosts = (inventory: string, extraVars: string | null, pattern: string) => Promise<FoundHost[]>;

/** An inventory can't be read, or has no host that matches; the message says which. */
export class UnusableInventoryError extends Error {
  override readonly name = 'UnusableInventoryError';

  constructor(
    readonly field: 'inventory' | 'hosts',
    message: string,
  ) {
    super(message);
  }
}

/** Why a host can't be served; undefined if it can. */
export function refusedHost(host: FoundHost): string | undefined {
  if ('error' in host) return `${host.name}: ${host.error}`;
  return host.shell === 'powershell' || host.shell === 'cmd'
    ? `${host.name} is a Windows host; these are not served`
    : undefined;
}
