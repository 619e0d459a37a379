import { open } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { isErrno } from '../disk/errno.js';

const Event = z.object({ event: z.string(), task: z.string().optional() });
const chunkBytes = 64 * 1024;

/** How far a playbook is, from its events file; reads each byte once, in bounded memory. */
export class ProgressReader {
  private readonly buffer = Buffer.allocUnsafe(chunkBytes);
  private offset = 0;
  private rest = '';
  tasksDone = 0;
  task: string | null = null;

  constructor(private readonly folder: string) {}

  /** Takes in what was written since the last call. */
  async update(): Promise<void> {
    let handle;
    try {
      handle = await open(path.join(this.folder, 'events.jsonl'), 'r');
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return;
      throw error;
    }
    try {
      for (;;) {
        const { bytesRead } = await handle.read(this.buffer, 0, chunkBytes, this.offset);
        if (bytesRead === 0) return;
        this.offset += bytesRead;
        this.takeIn(this.buffer.toString('latin1', 0, bytesRead));
      }
    } finally {
      await handle.close();
    }
  }

  private takeIn(text: string): void {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) this.count(line);
  }

  private count(line: string): void {
    let event;
    try {
      event = Event.safeParse(JSON.parse(Buffer.from(line, 'latin1').toString('utf8'))).data;
    } catch (error) {
      // A line that a full disk or a crash cut short counts for nothing.
      if (error instanceof SyntaxError) return;
      throw error;
    }
    if (event?.event !== 'task_start') return;
    if (this.task !== null) this.tasksDone += 1;
    this.task = event.task ?? '';
  }
}
