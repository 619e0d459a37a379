import { closeSync, existsSync, fstatSync, openSync, readSync, renameSync, statSync } from 'node:fs';

const rotateAtBytes = 10_000_000;

/** The log of one child: it appends to it directly, so that nothing is lost and nothing blocks when we are gone. */
export class LogFile {
  readonly path: string;
  #sessionStart = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** Opens it for a new process; a large one is put aside first (one former log is kept). The caller closes the descriptor. */
  open(): number {
    if (existsSync(this.path) && statSync(this.path).size > rotateAtBytes) renameSync(this.path, `${this.path}.1`);
    const descriptor = openSync(this.path, 'a', 0o600);
    this.#sessionStart = fstatSync(descriptor).size;
    return descriptor;
  }

  /** What the latest process has written, at most the last 64 KiB of it. */
  latest(): string {
    if (!existsSync(this.path)) return '';
    const descriptor = openSync(this.path, 'r');
    try {
      const { size } = fstatSync(descriptor);
      const from = Math.max(this.#sessionStart, size - 65_536);
      const buffer = Buffer.alloc(Math.max(0, size - from));
      const length = readSync(descriptor, buffer, 0, buffer.length, from);
      return buffer.toString('utf8', 0, length);
    } finally {
      closeSync(descriptor);
    }
  }

  /** The last lines that the latest process has written. */
  lastLines(count: number): string {
    return this.latest().trimEnd().split('\n').slice(-count).join('\n');
  }
}
