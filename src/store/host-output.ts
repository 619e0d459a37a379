import path from 'node:path';
import { readRecord } from '../ansible/records.js';
import { namesIn } from '../disk/durable.js';
import { TargetResult } from '../job/outcome.js';
import { hostFilesOf, hostOfFolder, keptAs } from './host-files.js';
import { endsLine, joined, openText, textOf, type TextFile } from './text-file.js';

/** Of work on target hosts: how it stands, as far as it takes that to show what it printed. */
export interface OnHosts {
  /** The folder of the attempt under way; null if none is. */
  underWay: string | null;
  /** How it ended, by host; none of those of which nobody can say. */
  targets: Record<string, TargetResult>;
  /** Those of them that were watched to their end. */
  watched: readonly string[];
  /** Whether others that have a folder here were, too. */
  areOthersWatched: boolean;
}

/**
 * The hosts of attempts, as far as this node has watched them, and for each the folder of the last attempt that has it here.
 * @param folders of the attempts, the last one first
 */
export async function hostsIn(folders: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const folder of [...folders].reverse())
    for (const name of await namesIn(path.join(folder, 'hosts'))) found.set(hostOfFolder(name), folder);
  return new Map([...found].sort(([one], [other]) => (one < other ? -1 : 1)));
}

/** The hosts of which it is known that more was printed than is here: another node has watched them to their end. */
export async function hostsLacking(
  hosts: ReadonlyMap<string, string>,
  { targets, watched, areOthersWatched }: OnHosts,
): Promise<string[]> {
  const known = new Set(Object.keys(targets).map(keptAs));
  const others = areOthersWatched ? [...hosts.keys()].filter((host) => !known.has(host)) : [];
  const lacking: string[] = [];
  for (const host of [...watched, ...others]) {
    const folder = hosts.get(keptAs(host));
    if (folder === undefined || !(await hasEnd(folder, host, knownOf(host, targets)))) lacking.push(host);
  }
  return lacking;
}

function knownOf(host: string, targets: OnHosts['targets']): TargetResult | undefined {
  return Object.hasOwn(targets, host) ? targets[host] : undefined;
}

/** Whether an attempt was watched to its end here, and that is the one that is known. */
async function hasEnd(folder: string, host: string, known: TargetResult | undefined): Promise<boolean> {
  const result = await resultIn(folder, host);
  if (result === undefined) return false;
  const [here, there] = [result.ansible_job_id, known?.ansible_job_id ?? null];
  return here === null || there === null || here === there;
}

async function resultIn(folder: string, host: string): Promise<TargetResult | undefined> {
  const files = hostFilesOf(folder, host);
  const result = await readRecord(files.folder, path.basename(files.result), TargetResult);
  return result === 'corrupt' ? undefined : result;
}

/** What was printed on one host. */
export async function openHost(
  folder: string,
  host: string,
  stream: 'stdout' | 'stderr',
): Promise<TextFile | undefined> {
  return openText(hostFilesOf(folder, host)[stream]);
}

/**
 * What was printed on all hosts: of a single one just that, of several one after another, each under a line that names it. Of a
 * single host that printed nothing else, its errors.
 */
export async function openAllHosts(hosts: ReadonlyMap<string, string>, on: OnHosts): Promise<TextFile> {
  const [only] = hosts;
  if (only !== undefined && hosts.size === 1) {
    const [host, folder] = only;
    const [printed, errors] = [await openHost(folder, host, 'stdout'), await openHost(folder, host, 'stderr')];
    const parts = [printed, errors].filter((part) => part !== undefined && part.size > 0) as TextFile[];
    const [first, second] = parts;
    if (first === undefined || second === undefined || (await endsLine(first))) return joined(parts);
    return joined([first, textOf('\n'), second]);
  }
  const parts: TextFile[] = [];
  for (const [host, folder] of hosts) {
    parts.push(textOf(`${await headingOf(folder, host, on)} >>\n`));
    for (const stream of ['stdout', 'stderr'] as const) {
      const part = await openHost(folder, host, stream);
      if (part === undefined || part.size === 0) continue;
      parts.push(part, textOf((await endsLine(part)) ? '' : '\n'));
    }
  }
  return joined(parts);
}

/** As Ansible heads what a command printed. */
async function headingOf(folder: string, host: string, { underWay, targets }: OnHosts): Promise<string> {
  const result = (await resultIn(folder, host)) ?? knownOf(host, targets);
  if (result === undefined) return `${host} | ${folder === underWay ? 'RUNNING' : 'END UNKNOWN'}`;
  const rc = result.rc === null ? '' : ` | rc=${result.rc}`;
  const isChanged = result.status === 'successful' && result.changed === true;
  return `${host} | ${result.failure?.kind.toUpperCase() ?? (isChanged ? 'CHANGED' : result.status.toUpperCase())}${rc}`;
}
