import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { isMap, isScalar, isSeq, parseDocument, type YAMLMap } from 'yaml';
import { isErrno } from '../disk/errno.js';
import { isBelow } from './playbooks.js';

/** Folders that hold parts of playbooks. */
const partFolders = new Set(['roles', 'group_vars', 'host_vars', 'tasks', 'vars', 'templates', 'files', 'handlers']);
const maxFileBytes = 1024 * 1024;
const imports = ['import_playbook', 'ansible.builtin.import_playbook'];

/** A playbook, and what its plays are called. */
export interface ListedPlaybook {
  /** Below the playbooks folder, as a job names it. */
  playbook: string;
  plays: string[];
}

/** The playbooks below a folder: YAML files that are lists of plays, sorted by path. */
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
    const target = await realpathIfThere(path.join(root, file));
    if (target === undefined || !isBelow(root, target)) continue;
    const kind = await stat(target);
    if (kind.isDirectory() && !partFolders.has(name)) await walk(root, file, seen, found);
    if (!kind.isFile() || !/\.ya?ml$/i.test(name) || kind.size > maxFileBytes) continue;
    const plays = playsOf(await readFile(target, 'utf8'));
    if (plays !== undefined) found.push({ playbook: file, plays });
  }
}

/** The names of a playbook's plays; undefined if it is something else. */
export function playsOf(text: string): string[] | undefined {
  const { contents, errors } = parseDocument(text, { logLevel: 'silent' });
  if (errors.length > 0 || !isSeq(contents) || contents.items.length === 0) return undefined;
  const plays = contents.items.map((item) => (isMap(item) ? playName(item) : undefined));
  return plays.every((name) => name !== undefined) ? plays : undefined;
}

function playName(play: YAMLMap): string | undefined {
  const imported = imports.map((key) => play.get(key)).find((value) => typeof value === 'string');
  if (!play.has('hosts') && imported === undefined) return undefined;
  const name = play.get('name', true);
  if (isScalar(name) && typeof name.value === 'string') return name.value;
  return imported === undefined ? `hosts: ${String(play.get('hosts'))}` : `import ${imported}`;
}

async function realpathIfThere(file: string): Promise<string | undefined> {
  try {
    return await realpath(file);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
    throw error;
  }
}
