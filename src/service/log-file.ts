import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import type { ProcessIdentity } from '../ansible/identity.js';
import { isErrno } from '../disk/errno.js';
import { whilePaused } from './pause.js';

/** How many former logs are kept beside the current one, as `.1` (the newest) and so on. */
export const formerLogs = 4;

const chunkBytes = 65_536;
const shownBytes = 65_536;

/**
 * The log of one child: it appends to it directly, so that nothing is lost and nothing blocks when we are gone. A log that
 * has grown large is copied aside and emptied, because a child goes on writing to the file that it was given.
 */
export class LogFile {
  readonly path: string;
  readonly #maxBytes: number;
  /** Where the latest process began to write, from the start of the current file; negative: in a former one. */
  #sessionStart = 0;

  /** @param maxBytes a larger log is put aside */
  constructor(path: string, maxBytes: number) {
    this.path = path;
    this.#maxBytes = maxBytes;
  }

  /** Opens it for a new process. The caller closes the descriptor. */
  open(): number {
    if (this.#isLarge()) this.#putAside((path) => renameSync(this.path, path));
    const descriptor = openSync(this.path, 'a', 0o600);
    this.#sessionStart = fstatSync(descriptor).size;
    return descriptor;
  }

  /**
   * Puts a large log aside while `writer` appends to it. No line is lost: the writer is paused, for a moment, from before the
   * end of the file is read until the file is empty. Where that can't be done now, the next call does it.
   */
  rotate(writer: ProcessIdentity): void {
    if (!this.#isLarge()) return;
    const aside = `${this.path}.new`;
    const [from, to] = [openSync(this.path, 'r+'), openSync(aside, 'w', 0o600)];
    try {
      // Most of it is copied before the pause, which is then as short as can be.
      const copied = copy(from, to, 0);
      whilePaused(writer, () => {
        const size = copy(from, to, copied);
        this.#putAside((path) => renameSync(aside, path));
        ftruncateSync(from);
        this.#sessionStart -= size;
      });
    } catch (error) {
      // A full disk is to be told by those whose work it stops.
      if (!isErrno(error, 'ENOSPC', 'EDQUOT')) throw error;
    } finally {
      closeSync(from);
      closeSync(to);
      rmSync(aside, { force: true });
    }
  }

  /** What the latest process has written, at most the last 64 KiB of it. */
  latest(): string {
    let text = '';
    let partStart = 0;
    for (const path of [this.path, ...this.#formerPaths()]) {
      if (!existsSync(path)) break;
      // The current file begins at 0, and each former one where it meets the one after it.
      if (path !== this.path) partStart -= statSync(path).size;
      text = readEnd(path, Math.max(0, this.#sessionStart - partStart), shownBytes - text.length) + text;
      if (partStart <= this.#sessionStart || text.length >= shownBytes) break;
    }
    return text;
  }

  /** The last lines that the latest process has written. */
  lastLines(count: number): string {
    return this.latest().trimEnd().split('\n').slice(-count).join('\n');
  }

  #isLarge(): boolean {
    return existsSync(this.path) && statSync(this.path).size > this.#maxBytes;
  }

  /** Makes room for a former log, dropping the oldest, and has `move` put it there. */
  #putAside(move: (path: string) => void): void {
    const paths = this.#formerPaths();
    for (let index = paths.length - 1; index > 0; index--) {
      const [newer = '', older = ''] = paths.slice(index - 1);
      if (existsSync(newer)) renameSync(newer, older);
    }
    move(paths[0] ?? '');
  }

  #formerPaths(): string[] {
    return Array.from({ length: formerLogs }, (_, index) => `${this.path}.${index + 1}`);
  }
}

/** Copies what is in a file from `offset` on to the end of another one; returns where it ended. */
function copy(from: number, to: number, offset: number): number {
  const chunk = Buffer.allocUnsafe(chunkBytes);
  for (let end = offset; ;) {
    const length = readSync(from, chunk, 0, chunk.length, end);
    if (length === 0) return end;
    for (let written = 0; written < length;) written += writeSync(to, chunk, written, length - written);
    end += length;
  }
}

/** The text of a file from `start` on, at most its last `bytes`. */
function readEnd(path: string, start: number, bytes: number): string {
  const descriptor = openSync(path, 'r');
  try {
    const { size } = fstatSync(descriptor);
    const from = Math.max(start, size - bytes);
    const buffer = Buffer.alloc(Math.max(0, size - from));
    const length = readSync(descriptor, buffer, 0, buffer.length, from);
    return buffer.toString('utf8', 0, length);
  } finally {
    closeSync(descriptor);
  }
}
