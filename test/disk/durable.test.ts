import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createFolderOnce, createOnce, makeFolder, namesIn } from '../../src/disk/durable.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'longhaul-disk-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('a folder is made with those above it, and may be there already', async () => {
  const deep = path.join(folder, 'a', 'b', 'c');
  await makeFolder(deep);
  await makeFolder(deep);
  expect((await stat(deep)).isDirectory()).toBe(true);
});

it('a folder that can not be made is an error, also below /proc and below a file', async () => {
  await writeFile(path.join(folder, 'file'), '');
  await expect(makeFolder('/proc/longhaul/data')).rejects.toThrow('ENOENT');
  await expect(makeFolder(path.join(folder, 'file', 'below'))).rejects.toThrow('ENOTDIR');
  await expect(makeFolder(path.join(folder, 'file'))).rejects.toThrow('EEXIST');
});

it('of many writers of one file, or makers of one folder, exactly one wins, and nothing is left aside', async () => {
  const writers = Array.from({ length: 20 }, (_, n) => createOnce(path.join(folder, 'claim'), String(n)));
  expect((await Promise.all(writers)).filter(Boolean)).toHaveLength(1);
  const makers = Array.from({ length: 20 }, (_, n) => createFolderOnce(path.join(folder, 'run'), { token: String(n) }));
  expect((await Promise.all(makers)).filter(Boolean)).toHaveLength(1);
  expect((await namesIn(folder)).sort()).toEqual(['claim', 'run']);
});
