import { watch, type FSWatcher } from 'node:fs';
import { isErrno } from '../disk/errno.js';

/** Wakes whoever watches an attempt: a record that was linked into its folder, or a tick, because nobody announces a death. */
export class FolderWatch {
  private readonly watcher: FSWatcher | undefined;
  private happened = false;
  private wake: () => void = () => undefined;

  constructor(folder: string) {
    this.watcher = watchRecords(folder, () => {
      this.happened = true;
      this.wake();
    });
  }

  /** Resolves after an event (also one since the last call) or after `tickMs`. Rejects with the signal's reason on abort. */
  async next(tickMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.happened) await this.event(tickMs, signal);
    this.happened = false;
  }

  close(): void {
    this.watcher?.close();
  }

  private async event(tickMs: number, signal: AbortSignal): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    let aborted: () => void = () => undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.wake = resolve;
        timer = setTimeout(resolve, tickMs);
        aborted = () => {
          reject(signal.reason as Error);
        };
        signal.addEventListener('abort', aborted);
      });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
    }
  }
}

const records = new Set(['started', 'result.json']);

function watchRecords(folder: string, happened: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, (_event, name) => {
      if (name === null || records.has(name) || name.startsWith('claim.')) happened();
    });
    watcher.on('error', happened);
    return watcher;
  } catch (error) {
    // Folder gone, or no inotify watches left: the tick alone has to do.
    if (isErrno(error, 'ENOENT', 'ENOSPC', 'EMFILE')) return undefined;
    throw error;
  }
}
