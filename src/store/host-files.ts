import { createHash } from 'node:crypto';
import path from 'node:path';

const longestName = 200;

/** What a node keeps of a host's part of an attempt, in the attempt's folder. */
export interface HostFiles {
  folder: string;
  stdout: string;
  stderr: string;
  /** How it ended there. */
  result: string;
}

/** @param folder of the attempt on this node */
export function hostFilesOf(folder: string, host: string): HostFiles {
  const below = path.join(folder, 'hosts', folderNameOf(host));
  const file = (name: string): string => path.join(below, name);
  return { folder: below, stdout: file('stdout'), stderr: file('stderr'), result: file('result.json') };
}

/** The host that a folder below `hosts` is of. */
export function hostOfFolder(name: string): string {
  return decodeURIComponent(name);
}

/** A host as its folder names it. */
export function keptAs(host: string): string {
  return hostOfFolder(folderNameOf(host));
}

/** Any name that an inventory may have, as one that a folder may have. */
function folderNameOf(host: string): string {
  const name = encodeURIComponent(host).replace(/^\./, '%2E');
  return name.length <= longestName ? name : createHash('sha256').update(host).digest('hex');
}
