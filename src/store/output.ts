import path from 'node:path';
import { ReadableStream } from 'node:stream/web';
import { tasksIn } from '../ansible/tasks.js';
import type { OutputSummary } from '../job/document.js';
import type { Tasks } from '../job/outcome.js';
import { keptAs } from './host-files.js';
import { hostsIn, hostsLacking, openAllHosts, openHost, type OnHosts } from './host-output.js';
import { endsLine, joined, openText, textOf, type TextFile } from './text-file.js';

const chunkBytes = 64 * 1024;
/** How much of the output a document has. */
export const documentBytes = 64 * 1024;
const recentLines = 20;
const headingCharacters = 79;
const newline = 0x0a;

/** What one host printed. */
export interface OutputPart {
  host: string;
  stream: 'stdout' | 'stderr';
}

/** A text that may be large, as it is now: nothing here reads a whole file into memory. */
export class StoredText {
  /** @param open undefined where there is nothing */
  constructor(readonly open: () => Promise<TextFile | undefined>) {}

  /** The size of the output so far, in bytes. */
  async size(): Promise<number> {
    return this.withText((text) => Promise.resolve(text?.size ?? 0));
  }

  /**
   * Bytes `start` to `end` (exclusive) of the output, read as fast as they are taken. The file is opened when the
   * stream is first read; the stream fails if the bytes are not there, because their number was promised.
   */
  stream(start: number, end: number): ReadableStream<Uint8Array> {
    return ReadableStream.from(piecesOf(() => this.open(), start, end));
  }

  /** Where the last `lines` lines of the first `size` bytes begin. */
  async startOfTail(lines: number, size: number): Promise<number> {
    if (lines === 0) return size;
    return this.withText(async (text) => (text === undefined ? 0 : findTail(text, lines, size)));
  }

  /** The end of the output for a document; with the whole text of up to 64 KiB when `finished`. */
  async summary(finished: boolean): Promise<Omit<OutputSummary, 'progress'>> {
    return this.withText(async (file) => {
      if (file === undefined)
        return { available: false, recentLines: [], text: finished ? '' : null, truncated: false };
      const { size } = file;
      const truncated = size > documentBytes;
      const start = Math.max(0, size - documentBytes);
      const bytes = await readFully(file, start, size - start);
      const text = decodeUtf8(truncated ? fromLineStart(bytes) : bytes);
      const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
      if (lines.at(-1) === '') lines.pop();
      return {
        available: true,
        recentLines: lines.slice(-recentLines),
        text: finished ? text : null,
        truncated: finished && truncated,
      };
    });
  }

  private withText<T>(use: (text: TextFile | undefined) => Promise<T>): Promise<T> {
    return this.open().then((text) => closing(text, () => use(text)));
  }
}

/** What an attempt printed, and did, as its folder on this node has it. */
export class StoredOutput extends StoredText {
  constructor(private readonly folder: string) {
    super(() => openText(path.join(folder, 'stdout.log')));
  }

  /** How far the attempt came; null if its events don't tell. */
  work(): Promise<Tasks | null> {
    return tasksIn(this.folder);
  }
}

/** What attempts printed on target hosts: on each host the last one that has it here. */
export class HostsOutput extends StoredText {
  /** @param folders of the attempts on this node, the last one first */
  constructor(
    private readonly folders: readonly string[],
    private readonly on: OnHosts,
  ) {
    super(async () => {
      const hosts = await hostsIn(folders);
      return hosts.size === 0 ? undefined : openAllHosts(hosts, on);
    });
  }

  /** The hosts of which it is known that more was printed than is here. */
  async lacking(): Promise<string[]> {
    return hostsLacking(await hostsIn(this.folders), this.on);
  }

  /** What one host printed; undefined if nothing is kept of it. */
  async of({ host, stream }: OutputPart): Promise<StoredText | undefined> {
    const folder = (await hostsIn(this.folders)).get(keptAs(host));
    return folder === undefined ? undefined : new StoredText(() => openHost(folder, host, stream));
  }
}

/** What attempts printed, one after another, each under a line that names it. */
export function outputsOf(parts: readonly { title: string; output: StoredText | undefined }[]): StoredText {
  return new StoredText(async () => {
    const texts: TextFile[] = [];
    for (const { title, output } of parts) {
      const text = await output?.open();
      texts.push(textOf(`${texts.length === 0 ? '' : '\n'}${heading(title)}\n`));
      if (output === undefined) texts.push(textOf('(its output is not on this machine)\n'));
      if (text !== undefined && text.size > 0) texts.push(text, textOf((await endsLine(text)) ? '' : '\n'));
    }
    return joined(texts);
  });
}

/** As Ansible heads plays and tasks. */
function heading(title: string): string {
  return `${title} `.padEnd(headingCharacters, '*');
}

async function closing<T>(text: TextFile | undefined, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } finally {
    await text?.close();
  }
}

async function* piecesOf(
  open: () => Promise<TextFile | undefined>,
  start: number,
  end: number,
): AsyncGenerator<Uint8Array> {
  const file = await open();
  if (file === undefined) throw new Error('the output is not there any more');
  try {
    for (let at = start; at < end;) {
      const buffer = new Uint8Array(Math.min(chunkBytes, end - at));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) throw new Error(`the output ends at byte ${at}, before byte ${end}`);
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** Looks backwards, chunk by chunk, for the newline before the last `lines` lines. */
async function findTail(file: TextFile, lines: number, size: number): Promise<number> {
  let found = 0;
  for (let end = size; end > 0; end -= chunkBytes) {
    const start = Math.max(0, end - chunkBytes);
    const chunk = await readFully(file, start, end - start);
    for (let at = chunk.lastIndexOf(newline); at >= 0; at = at === 0 ? -1 : chunk.lastIndexOf(newline, at - 1)) {
      const position = start + at;
      // The newline at the very end closes the last line and begins none.
      if (position === size - 1) continue;
      found += 1;
      if (found === lines) return position + 1;
    }
  }
  return 0;
}

async function readFully(file: TextFile, start: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, start + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}

/** Without the line that the cut went through; if there is no other, without the character that it went through. */
function fromLineStart(bytes: Buffer): Buffer {
  const cut = bytes.indexOf(newline);
  if (cut >= 0 && cut < bytes.length - 1) return bytes.subarray(cut + 1);
  let start = 0;
  while (start < 4 && start < bytes.length && ((bytes[start] ?? 0) & 0xc0) === 0x80) start += 1;
  return bytes.subarray(start);
}

/** Text of bytes that may end in the middle of a character. */
function decodeUtf8(bytes: Buffer): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: true });
}
