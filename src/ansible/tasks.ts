import { open } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { isErrno } from '../disk/errno.js';
import type { Tasks } from '../job/outcome.js';

/** Some of our events' lines at least, which are shorter than 20 kB. */
const tailBytes = 128 * 1024;

const count = z.int().min(0);
/** What fell away because hosts failed was `known` to come. */
const Counted = z
  .object({ done: count, todo: count.optional(), known: count.optional() })
  .transform(({ done, todo, known }): Tasks => ({ done, total: known ?? (todo === undefined ? null : done + todo) }));

/** How far an attempt has come by its last event that tells; null if none does. */
export async function tasksIn(folder: string): Promise<Tasks | null> {
  const lines = (await tailOf(path.join(folder, 'events.jsonl'))).split('\n').reverse();
  for (const line of lines) {
    const tasks = tasksOf(line);
    if (tasks !== null) return tasks;
  }
  return null;
}

/** Null for a line that doesn't tell, or was cut short by a full disk or a crash. */
function tasksOf(line: string): Tasks | null {
  try {
    return Counted.safeParse(JSON.parse(line)).data ?? null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

async function tailOf(file: string): Promise<string> {
  let handle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return '';
    throw error;
  }
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, tailBytes);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
