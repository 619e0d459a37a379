import path from 'node:path';
import { readRecord } from '../ansible/records.js';
import { namesIn } from '../disk/durable.js';
import { TargetResult } from '../job/outcome.js';
import { hostFilesOf, hostOfFolder } from './host-files.js';
import { endsLine, joined, openText, textOf, type TextFile } from './text-file.js';

/** The hosts of an attempt on target hosts, as far as this node has watched them. */
export async function hostsIn(folder: string): Promise<string[]> {
  return (await namesIn(path.join(folder, 'hosts'))).map(hostOfFolder).sort();
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
export async function openAllHosts(folder: string, hosts: readonly string[]): Promise<TextFile> {
  const [only] = hosts;
  if (only !== undefined && hosts.length === 1) {
    const [printed, errors] = [await openHost(folder, only, 'stdout'), await openHost(folder, only, 'stderr')];
    const parts = [printed, errors].filter((part) => part !== undefined && part.size > 0) as TextFile[];
    const [first, second] = parts;
    if (first === undefined || second === undefined || (await endsLine(first))) return joined(parts);
    return joined([first, textOf('\n'), second]);
  }
  const parts: TextFile[] = [];
  for (const host of hosts) {
    parts.push(textOf(`${await headingOf(folder, host)} >>\n`));
    for (const stream of ['stdout', 'stderr'] as const) {
      const part = await openHost(folder, host, stream);
      if (part === undefined || part.size === 0) continue;
      parts.push(part, textOf((await endsLine(part)) ? '' : '\n'));
    }
  }
  return joined(parts);
}

/** As Ansible heads what a command printed. */
async function headingOf(folder: string, host: string): Promise<string> {
  const files = hostFilesOf(folder, host);
  const result = await readRecord(files.folder, path.basename(files.result), TargetResult);
  if (result === undefined || result === 'corrupt') return `${host} | RUNNING`;
  const rc = result.rc === null ? '' : ` | rc=${result.rc}`;
  const isChanged = result.status === 'successful' && result.changed === true;
  return `${host} | ${result.failure?.kind.toUpperCase() ?? (isChanged ? 'CHANGED' : result.status.toUpperCase())}${rc}`;
}
