import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { isMap, isScalar, isSeq, parseDocument, type YAMLMap } from 'yaml';
import { isErrno } from '../disk/errno.js';
import { isBelow } from './playbooks.js';

/** Folders of a project that hold parts of playbooks, plugins and collections. */
const partFolders = new Set([
  ...['roles', 'collections', 'group_vars', 'host_vars', 'tasks', 'handlers', 'vars', 'defaults', 'meta'],
  ...['templates', 'files', 'library', 'module_utils'],
]);
const maxFileBytes = 1024 * 1024;
const imports = ['import_playbook', 'ansible.builtin.import_playbook', 'ansible.legacy.import_playbook'];

/** A playbook, and what its plays are called. */
export interface ListedPlaybook {
  /** Below the playbooks folder, as a job names it. */
  playbook: string;
  plays: string[];
  /** Why it can't be read as a playbook, in a line; null if it can. */
  error: string | null;
}

/** What a file turns out to be. */
export type ReadPlaybook = Omit<ListedPlaybook, 'playbook'>;

/**
 * The playbooks below a folder: YAML files that are lists of plays, sorted by path. Also those that look like
 * one and can't be read, with the reason.
 */
export async function listPlaybooks(playbooksDir: string): Promise<ListedPlaybook[]> {
  const root = await realpathIfThere(playbooksDir);
  if (root === undefined) return [];
  const found: ListedPlaybook[] = [];
  await walk(root, '', new Set(), found);
  return found.sort((one, other) => (one.playbook < other.playbook ? -1 : 1));
}

/** @param seen the folders that were walked, for symbolic links that lead in a circle */
async function walk(root: string, below: string, seen: Set<string>, found: ListedPlaybook[]): Promise<void> {
  const folder = await realpathIfThere(path.join(root, below));
  if (folder === undefined || seen.has(folder)) return;
  seen.add(folder);
  for (const name of await readdir(folder)) {
    if (name.startsWith('.')) continue;
    const file = path.join(below, name);
    try {
      await visit(root, file, seen, found);
    } catch (error) {
      if (!isErrno(error, 'EACCES', 'EIO')) throw error;
      found.push({ playbook: file, plays: [], error: oneLine((error as Error).message) });
    }
  }
}

async function visit(root: string, file: string, seen: Set<string>, found: ListedPlaybook[]): Promise<void> {
  const target = await realpathIfThere(path.join(root, file));
  if (target === undefined || !isBelow(root, target)) return;
  const name = path.basename(file);
  const kind = await stat(target);
  if (kind.isDirectory() && !isPartFolder(name)) await walk(root, file, seen, found);
  if (!kind.isFile() || !/\.ya?ml$/i.test(name) || kind.size > maxFileBytes) return;
  const read = readPlaybook(await readFile(target, 'utf8'));
  if (read !== undefined) found.push({ playbook: file, ...read });
}

function isPartFolder(name: string): boolean {
  return partFolders.has(name) || name.endsWith('_plugins');
}

/** What the text of a YAML file is as a playbook; undefined if it is something else: variables, tasks, an inventory. */
export function readPlaybook(text: string): ReadPlaybook | undefined {
  const { contents, errors } = parseDocument(text, { logLevel: 'silent', uniqueKeys: false });
  const [error] = errors;
  if (error !== undefined) return { plays: [], error: oneLine(error.message.split('\n\n')[0] ?? '') };
  if (!isSeq(contents) || contents.items.length === 0) return undefined;
  const plays = contents.items.map((item) => (isMap(item) ? playName(item) : undefined));
  const odd = plays.indexOf(undefined);
  if (odd < 0) return { plays: plays as string[], error: null };
  if (plays.every((name) => name === undefined)) return undefined;
  return { plays: [], error: `Entry ${odd + 1} of the list is not a play: it has neither hosts nor import_playbook` };
}

function playName(play: YAMLMap): string | undefined {
  const imported = imports.map((key) => play.get(key)).find((value) => typeof value === 'string');
  if (!play.has('hosts') && imported === undefined) return undefined;
  const name = play.get('name', true);
  if (isScalar(name) && typeof name.value === 'string') return name.value;
  return imported === undefined ? `hosts: ${String(play.get('hosts'))}` : `import ${imported}`;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/[ :]+$/, '');
}

async function realpathIfThere(file: string): Promise<string | undefined> {
  try {
    return await realpath(file);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
    throw error;
  }
}
