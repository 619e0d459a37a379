import { link, mkdir, open, readdir, rename, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { isErrno } from './errno.js';

/** Files that are there whole or not at all, and still there after a power cut. */

/** Makes what was created, renamed or removed in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes a new file durably; fails if it is there. */
export async function writeDurably(file: string, content: string | Uint8Array): Promise<void> {
  await writeFile(file, content, { mode: 0o600, flag: 'wx', flush: true });
}

/** Writes `content` to `file` durably if nothing is there: the first writer wins. Returns whether this call did. */
export async function createOnce(file: string, content: string): Promise<boolean> {
  const aside = asideOf(file);
  try {
    await writeDurably(aside, content);
    await link(aside, file);
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await rm(aside, { force: true });
  }
  await syncFolder(path.dirname(file));
  return true;
}

/** Writes `content` to `file` durably, over what is there. */
export async function replaceDurably(file: string, content: string): Promise<void> {
  const aside = asideOf(file);
  try {
    await writeDurably(aside, content);
    await rename(aside, file);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  await syncFolder(path.dirname(file));
}

/** Makes a folder and those above it, each durably. */
export async function makeFolder(folder: string): Promise<void> {
  // Not by mkdir's `recursive`, which never ends where a parent exists and takes no folders, as in /proc.
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (error) {
    if (isErrno(error, 'EEXIST') && (await stat(folder)).isDirectory()) return;
    if (!isErrno(error, 'ENOENT') || (await isFolder(path.dirname(folder)))) throw error;
    await makeFolder(path.dirname(folder));
    return makeFolder(folder);
  }
  await syncFolder(path.dirname(folder));
}

async function isFolder(name: string): Promise<boolean> {
  try {
    return (await stat(name)).isDirectory();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

/** Makes a folder with files all at once: it is there complete or not at all. Returns false if it was there before. */
export async function createFolderOnce(folder: string, files: Record<string, string | Uint8Array>): Promise<boolean> {
  const parent = path.dirname(folder);
  await makeFolder(parent);
  const aside = asideOf(folder);
  await mkdir(aside, { mode: 0o700 });
  try {
    for (const [name, content] of Object.entries(files)) await writeDurably(path.join(aside, name), content);
    await syncFolder(aside);
    await rename(aside, folder);
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    if (isErrno(error, 'ENOTEMPTY', 'EEXIST')) return false;
    throw error;
  }
  await syncFolder(parent);
  return true;
}

/** Removes a file; whether it was there. */
export async function removeIfThere(file: string): Promise<boolean> {
  try {
    await unlink(file);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

/** The names in a folder; none if it isn't there. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}

function asideOf(file: string): string {
  return path.join(path.dirname(file), `.${path.basename(file)}.${process.pid}.${randomBytes(4).toString('hex')}`);
}
