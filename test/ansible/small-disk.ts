import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe } from 'vitest';

const canMount = process.getuid?.() === 0 || process.env.CI !== undefined;

/** `describe` for tests that need a small disk; in CI it has to be possible. */
export function describeWithDisk(title: string, body: () => void): void {
  if (canMount) describe(title, body);
  else describe.skip(`${title} (skipped: needs root)`, body);
}

/** A disk of 1 MiB, and a data folder whose runs are on it. */
export class SmallDisk {
  private readonly root = mkdtempSync(path.join(os.tmpdir(), 'longhaul-disk-'));
  readonly dataDir = path.join(this.root, 'data');
  readonly folder = path.join(this.root, 'disk');

  constructor() {
    for (const folder of [this.dataDir, this.folder]) mkdirSync(folder);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', this.folder]);
    symlinkSync(this.folder, path.join(this.dataDir, 'runs'));
  }

  fill(): void {
    const file = openSync(path.join(this.folder, 'filler'), 'w');
    try {
      for (;;) writeSync(file, Buffer.alloc(1024));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  empty(): void {
    rmSync(path.join(this.folder, 'filler'));
  }

  [Symbol.dispose](): void {
    execFileSync('umount', ['-l', this.folder]);
    rmSync(this.root, { recursive: true });
  }
}
