import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What was written by writeStamp, or undefined if there is none or it isn't readable as one. */
export function readStamp(file) {
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    // A torn stamp says the same as none: what it vouches for is made anew.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Writes a stamp whole or not at all. It goes last, after what it vouches for. */
export function writeStamp(file, content) {
  writeFileSync(`${file}.new`, JSON.stringify(content));
  renameSync(`${file}.new`, file);
}

/** A hash of the contents and names of files, and of all files below folders. What doesn't exist counts as absent. */
export function hashOf(root, names) {
  const hash = createHash('sha256');
  for (const name of names) addToHash(hash, root, name);
  return hash.digest('hex');
}

function addToHash(hash, root, name) {
  const path = join(root, name);
  if (!existsSync(path)) return;
  if (statSync(path).isDirectory()) {
    for (const child of readdirSync(path).sort()) addToHash(hash, root, join(name, child));
    return;
  }
  hash.update(`${name}\0`).update(readFileSync(path)).update('\0');
}
