import { statfsSync } from 'node:fs';
import { SetupError } from './command.mjs';

/** Throws a SetupError when the file system of `folder` has fewer than `bytes` free for us. */
export function requireDiskSpace(folder, bytes) {
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  if (free >= bytes) return;
  throw new SetupError(
    `A first set-up needs about ${megabytes(bytes)} MB, and ${folder} has ${megabytes(free)} MB free. ` +
      'Make room there, or move the project to a larger file system.',
  );
}

function megabytes(bytes) {
  return Math.floor(bytes / 1_000_000);
}
