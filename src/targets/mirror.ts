import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '../disk/durable.js';
import { isErrno } from '../disk/errno.js';

/** More of one output than this stays on its host. */
const mirroredBytes = 256 * 1024 * 1024;

/** A copy, on this node, of what a job prints on a host: as much as was brought, never with a gap. Thousands may be in use. */
export class Mirror {
  private constructor(
    private readonly file: string,
    private size: number,
  ) {}

  /** The copy in `file`, as far as it has come. */
  static async open(file: string): Promise<Mirror> {
    await makeFolder(path.dirname(file));
    return new Mirror(file, await sizeOf(file));
  }

  /** How many bytes it has; the next ones are to begin there. */
  get length(): number {
    return this.size;
  }

  get isFull(): boolean {
    return this.size >= mirroredBytes;
  }

  /**
   * Adds what follows. What it has already is left out, and what would leave a gap is ignored.
   * @returns whether the disk took it
   */
  async add(from: number, data: Buffer): Promise<boolean> {
    const known = this.size - from;
    if (known < 0 || known >= data.length) return true;
    const rest = data.subarray(known, known + mirroredBytes - this.size);
    try {
      await this.write(rest);
      return true;
    } catch (error) {
      if (!isErrno(error, 'ENOSPC', 'EDQUOT', 'EIO')) throw error;
      return false;
    }
  }

  /** Where it belongs, so that two which copy the same output at once write the same bytes to the same place. */
  private async write(data: Buffer): Promise<void> {
    const file = await open(this.file, constants.O_WRONLY | constants.O_CREAT, 0o600);
    try {
      for (let done = 0; done < data.length;) {
        const { bytesWritten } = await file.write(data, done, data.length - done, this.size);
        done += bytesWritten;
        this.size += bytesWritten;
      }
    } finally {
      await file.close();
    }
  }

  /** Its last bytes. */
  async last(bytes: number): Promise<Buffer> {
    if (this.size === 0) return Buffer.alloc(0);
    const length = Math.min(bytes, this.size);
    const file = await open(this.file, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, this.size - length);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }

  /** Makes it survive a power cut. */
  async sync(): Promise<void> {
    if (this.size === 0) return;
    const file = await open(this.file, 'r+');
    await file.sync().finally(() => file.close());
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 0;
    throw error;
  }
}
