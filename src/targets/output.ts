import type { Printed } from '../job/outcome.js';
import { Mirror } from './mirror.js';
import type { Look, TaskResult } from './looks.js';

const errorBytes = 300;

/** What a job prints on a host, copied as it comes. */
export class HostOutput {
  private readonly told = { stdout: 0, stderr: 0 };
  private isRefused = false;
  private isComplete = false;

  private constructor(
    private readonly stdout: Mirror,
    private readonly stderr: Mirror,
  ) {}

  /** @param files where the copies are */
  static async open(files: { stdout: string; stderr: string }): Promise<HostOutput> {
    return new HostOutput(await Mirror.open(files.stdout), await Mirror.open(files.stderr));
  }

  /** Where the next bytes begin. */
  get offsets(): { stdout: number; stderr: number } {
    return { stdout: this.stdout.length, stderr: this.stderr.length };
  }

  /** Whether there is more on the host than was copied, and a place for it. */
  get hasMore(): boolean {
    return !this.isRefused && (this.lacks('stdout') || this.lacks('stderr'));
  }

  /** Takes what a look has brought. */
  async take(look: Partial<Pick<Extract<Look, { state: 'running' }>, 'stdout' | 'stderr'>>): Promise<void> {
    let isRefused = false;
    for (const name of ['stdout', 'stderr'] as const) {
      const part = look[name];
      if (part === undefined) continue;
      this.told[name] = part.size;
      if (!(await this[name].add(part.from, Buffer.from(part.data, 'base64')))) isRefused = true;
    }
    this.isRefused = isRefused;
  }

  /** Whether all that is to be copied was, now that the job has ended. What the host has no more can't be. */
  isWhole({ stdout_bytes, stderr_bytes }: TaskResult): boolean {
    // What the host can't show now has no size there.
    this.isComplete = stdout_bytes !== undefined && this.stdout.length >= stdout_bytes;
    this.told.stdout = Math.min(this.told.stdout, stdout_bytes ?? this.told.stdout);
    this.told.stderr = Math.min(this.told.stderr, stderr_bytes ?? this.told.stderr);
    return !this.hasMore;
  }

  /** All that it printed, without the line breaks at its end. @param most bytes */
  async printed(most: number): Promise<Printed> {
    const { length } = this.stdout;
    if (!this.isComplete) return { missing: 'not all of it could be copied from the host' };
    if (length > most) return { missing: `it has ${length} bytes, and may have ${most}` };
    const bytes = await this.stdout.last(most);
    let end = bytes.length;
    while (end > 0 && isLineBreak(bytes[end - 1])) end -= 1;
    try {
      return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, end)) };
    } catch {
      return { missing: 'it is not UTF-8' };
    }
  }

  /** The last line of the errors, shortened; null if there is none. */
  async lastError(): Promise<string | null> {
    const lines = (await this.stderr.last(errorBytes))
      .toString()
      .split('\n')
      .filter((line) => line.trim() !== '');
    return lines.at(-1)?.trim() ?? null;
  }

  /** Makes what was copied survive a power cut. */
  async sync(): Promise<void> {
    await this.stdout.sync();
    await this.stderr.sync();
  }

  private lacks(name: 'stdout' | 'stderr'): boolean {
    return this[name].length < this.told[name] && !this[name].isFull;
  }
}

function isLineBreak(byte: number | undefined): boolean {
  return byte === 0x0a || byte === 0x0d;
}
