import { randomBytes } from 'node:crypto';
import { link, rename, rm, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder, replaceDurably, syncFolder, writeDurably } from '../disk/durable.js';
import { isErrno } from '../disk/errno.js';

/** The data folder can't be used; the message says why and what to do. */
export class DataFolderError extends Error {
  override readonly name = 'DataFolderError';
}

/** The parts of a node's data folder. */
export interface DataFolder {
  root: string;
  runs: string;
  slots: string;
  /** How long playbooks took. */
  durations: string;
  /** Jobs that run without Temporal. */
  foreground: string;
  /** What is watched on target hosts. */
  targets: string;
  /** Inventories and variables that came with jobs. */
  inventories: string;
}

export function dataFolderOf(root: string): DataFolder {
  const below = (name: string): string => path.join(root, name);
  return {
    root,
    runs: below('runs'),
    slots: below('slots'),
    durations: below('durations'),
    foreground: below('foreground'),
    targets: below('targets'),
    inventories: below('inventories'),
  };
}

/**
 * Makes the data folder and tries what everything rests on: link(2), rename and fsync, for `runs` too, which
 * may be a mount of its own. No job is taken where these don't hold.
 * @throws DataFolderError
 */
export async function openDataFolder(root: string): Promise<DataFolder> {
  const folder = dataFolderOf(root);
  await makeFolder(folder.root);
  await refuseMissingRuns(folder);
  await makeFolder(folder.runs);
  for (const part of [folder.root, folder.runs]) {
    await tryLinks(part);
  }
  await markRuns(folder);
  return folder;
}

/** A `runs` that was a mount and isn't there today would make every living attempt look lost. */
async function refuseMissingRuns({ root, runs }: DataFolder): Promise<void> {
  const seenBefore = await exists(path.join(root, 'runs.seen'));
  if (!seenBefore || (await exists(path.join(runs, '.longhaul')))) return;
  throw new DataFolderError(
    `${runs} is not the folder that this node wrote to. Mount it again; if its runs are gone for good, remove ${path.join(root, 'runs.seen')}.`,
  );
}

async function markRuns({ root, runs }: DataFolder): Promise<void> {
  const now = new Date().toISOString();
  for (const mark of [path.join(runs, '.longhaul'), path.join(root, 'runs.seen')]) {
    if (!(await exists(mark))) await replaceDurably(mark, now);
  }
}

async function tryLinks(folder: string): Promise<void> {
  const [one, two, three] = ['a', 'b', 'c'].map((name) =>
    path.join(folder, `.try.${randomBytes(4).toString('hex')}.${name}`),
  ) as [string, string, string];
  try {
    await writeDurably(one, 'x');
    await link(one, two);
    if (await linkedAgain(one, two)) throw new Error('link(2) overwrote a file');
    await rename(two, three);
    await syncFolder(folder);
  } catch (error) {
    // Full is not unfit: what runs must still be watched and ended. Whoever takes new work asks for space.
    if (isErrno(error, 'ENOSPC', 'EDQUOT')) return;
    throw new DataFolderError(
      `The data folder ${folder} can't keep jobs: ${(error as Error).message}. Give DATA_DIR a folder on a local file system with hard links.`,
      { cause: error },
    );
  } finally {
    for (const file of [one, two, three]) await rm(file, { force: true });
  }
}

async function linkedAgain(one: string, two: string): Promise<boolean> {
  try {
    await link(one, two);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
}

/** @throws DataFolderError when less than `minFreeBytes` are free where `folder` is */
export async function requireSpace(folder: string, minFreeBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= minFreeBytes) return;
  const [has, needs] = [free, minFreeBytes].map((bytes) => `${Math.floor(bytes / 1e6)} MB`);
  throw new DataFolderError(
    `${folder} has ${has} free, and ${needs} are needed (MIN_FREE_MB). Free some, or move DATA_DIR.`,
  );
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}
