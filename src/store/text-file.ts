import { open, stat, type FileHandle } from 'node:fs/promises';
import { isErrno } from '../disk/errno.js';

/** Bytes that are there to be read piece by piece, a file's or those of several put together. */
export interface TextFile {
  readonly size: number;
  /** Reads into `buffer` from `position` on; fewer bytes than wanted, and none at the end. */
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  close(): Promise<void>;
}

/** A file as it is now, opened when it is first read; undefined if it isn't there. The caller closes it. */
export async function openText(name: string): Promise<TextFile | undefined> {
  const size = await sizeOf(name);
  if (size === undefined) return undefined;
  let handle: Promise<FileHandle> | undefined;
  return {
    size,
    async read(buffer, offset, length, position) {
      handle ??= open(name, 'r');
      return (await handle).read(buffer, offset, length, position);
    },
    async close() {
      await (await handle)?.close();
    },
  };
}

async function sizeOf(name: string): Promise<number | undefined> {
  try {
    return (await stat(name)).size;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** Text of our own. */
export function textOf(text: string): TextFile {
  const bytes = Buffer.from(text);
  return {
    size: bytes.length,
    read: (buffer, offset, length, position) => {
      const part = bytes.subarray(position, position + length);
      buffer.set(part, offset);
      return Promise.resolve({ bytesRead: part.length });
    },
    close: () => Promise.resolve(),
  };
}

/** Several texts as one. */
export function joined(parts: readonly TextFile[]): TextFile {
  const starts: number[] = [];
  let size = 0;
  for (const part of parts) {
    starts.push(size);
    size += part.size;
  }
  return {
    size,
    async read(buffer, offset, length, position) {
      const index = parts.findIndex((part, at) => position < (starts[at] ?? 0) + part.size);
      const [part, start] = [parts[index], starts[index]];
      if (part === undefined || start === undefined) return { bytesRead: 0 };
      const within = position - start;
      // A file may have grown since it was opened.
      return part.read(buffer, offset, Math.min(length, part.size - within), within);
    },
    async close() {
      for (const part of parts) await part.close();
    },
  };
}

/** Whether a text that is not empty ends with a whole line. */
export async function endsLine(text: TextFile): Promise<boolean> {
  const last = new Uint8Array(1);
  await text.read(last, 0, 1, text.size - 1);
  return last[0] === 0x0a;
}
