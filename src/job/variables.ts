/**
 * Ansible variables that a caller may not set: those that name a program, an interpreter, a file or options
 * for a program on the node would turn data into code (design: "values are data").
 */

const allowed = new Set([
  'ansible_user',
  'ansible_port',
  'ansible_host',
  'ansible_connection',
  'ansible_become',
  'ansible_become_user',
]);
const allowedConnections = new Set(['ssh', 'local']);
/** Keywords and magic variables that Ansible would read settings from, whatever their prefix. */
const reserved = new Set([
  'vars',
  'hostvars',
  'environment',
  'inventory_hostname',
  'inventory_hostname_short',
  'delegated_vars',
]);
const hostPattern = /^[A-Za-z0-9_][A-Za-z0-9_.:%-]*$/;
/** What more a variable's value may have: a user of a directory (`a@corp.example`, `CORP\\a`, `machine$`), a short IPv6 address. */
const valuePatterns = new Map([
  // One argument of ssh, which refuses other characters too; a shell that ssh's configuration hands it to makes nothing of these.
  ['ansible_user', /^[A-Za-z0-9_](?:[A-Za-z0-9_.:%@+-]|\\(?=[A-Za-z0-9_]))*\$?$/],
  ['ansible_host', /^(?:::)?[A-Za-z0-9_][A-Za-z0-9_.:%-]*$/],
]);

/** A name that Ansible takes as a variable's. */
export const variablePattern = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Why `name: value` is refused as an Ansible variable; undefined if it may be set. */
export function refusedVariable(name: string, value: unknown): string | undefined {
  if (!variablePattern.test(name))
    return `"${name}" is not a variable name: use letters, digits and _, not starting with a digit`;
  if (reserved.has(name)) return `"${name}" is reserved by Ansible`;
  if (!name.startsWith('ansible_')) return undefined;
  if (!allowed.has(name)) {
    return `"${name}" is refused, because ansible_ variables can run code on the node or are secrets. Set it in a file below the inventories folder; here may be set: ${[...allowed].join(', ')}`;
  }
  if (name === 'ansible_connection' && !(typeof value === 'string' && allowedConnections.has(value))) {
    return 'ansible_connection may be "ssh" or "local"';
  }
  if (typeof value === 'string' && !(valuePatterns.get(name) ?? hostPattern).test(value))
    return `the value of "${name}" has characters that are not allowed there`;
  if (typeof value === 'object' && value !== null) return `"${name}" takes a plain value`;
  return undefined;
}

/** Whether `value` can be a host's name: nothing in it can be taken for an option, a template or a range of millions. */
export function isHostName(value: string): boolean {
  return value.length <= 255 && hostPattern.test(value);
}
