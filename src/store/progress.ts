import { open, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { isErrno } from '../disk/errno.js';
import type { HostStats } from '../job/outcome.js';
import { noCounts, type LiveProgress } from '../job/progress.js';

const Event = z.object({
  event: z.string(),
  at: z.number().optional(),
  done: z.int().min(0).optional(),
  todo: z.int().min(0).optional(),
  play: z.string().optional(),
  task: z.string().optional(),
  host: z.string().optional(),
  /** Of a task: how many it is for, null where each goes at its own pace. Of a recap: their counters. */
  hosts: z.unknown().optional(),
  item: z.string().optional(),
  handler: z.boolean().optional(),
  changed: z.boolean().optional(),
  /** Of an include in a loop: how often it included something. */
  includes: z.int().min(0).optional(),
  ignored: z.boolean().optional(),
  rescued: z.boolean().optional(),
});
type Event = z.infer<typeof Event>;

const chunkBytes = 64 * 1024;
/** Our lines are much shorter: a longer one was never ours. */
const longestLine = 256 * 1024;
const messageCharacters = 300;
/** As many hosts as an outcome's statistics have. */
const mostHosts = 3_000;

/** How far a playbook is, from its events file; reads each byte once, in bounded memory. */
export class ProgressReader {
  private readonly counts = new Map<string, HostStats>();
  private updating: Promise<void> | undefined;
  private offset = 0;
  private rest = '';
  private percent: number | null = null;
  private tasksDone = 0;
  private tasksTotal: number | null = null;
  private task: { name: string; handler: boolean; hosts: number | null; answers: number; item: string | null } | null =
    null;
  private readonly times: { first: number | null; reached: number[] } = { first: null, reached: [] };
  play: string | null = null;

  constructor(private readonly folder: string) {}

  /** Takes in what was written since the last call. Calls at the same time share one reading. */
  async update(): Promise<void> {
    this.updating ??= this.read().finally(() => (this.updating = undefined));
    await this.updating;
  }

  get progress(): Omit<LiveProgress, 'eta'> {
    const { percent, tasksDone, tasksTotal, message } = this;
    return { percent, tasksDone, tasksTotal, message, hosts: Object.fromEntries(this.counts), targets: {} };
  }

  /** What it does now, in one line. */
  get message(): string | null {
    const { play, task } = this;
    if (task === null) return play === null ? null : inOneLine(`Play ${play}`);
    const what = `${task.handler ? 'Handler ' : ''}${task.name}${play === null ? '' : ` (${play})`}`;
    const hosts = task.hosts !== null && task.hosts > 1 ? `, ${task.answers} of ${task.hosts} hosts` : '';
    const item = task.item === null ? '' : `, item ${inOneLine(task.item, 60)}`;
    return `${inOneLine(what)}${hosts}${item}`;
  }

  /** Seconds from the first event until 10, 20, ... 90 percent were reached, as far as they were. */
  get reachedAfter(): number[] {
    const { first, reached } = this.times;
    return reached.map((at) => Math.max(0, at - (first ?? at)));
  }

  private async read(): Promise<void> {
    let handle;
    try {
      handle = await open(path.join(this.folder, 'events.jsonl'), 'r');
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return;
      throw error;
    }
    try {
      await this.readOn(handle);
    } finally {
      await handle.close();
    }
  }

  private async readOn(handle: FileHandle): Promise<void> {
    const { size } = await handle.stat();
    if (size < this.offset) this.startOver();
    const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, size - this.offset));
    while (this.offset < size) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, this.offset);
      if (bytesRead === 0) return;
      this.offset += bytesRead;
      this.takeIn(buffer.toString('latin1', 0, bytesRead));
    }
  }

  /** The file is shorter than what was read of it. What was shown of progress stays. */
  private startOver(): void {
    this.offset = 0;
    this.rest = '';
    this.counts.clear();
  }

  private takeIn(text: string): void {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    if (this.rest.length > longestLine) this.rest = this.rest.slice(0, longestLine);
    for (const line of lines) {
      const event = eventOf(line);
      if (event !== undefined) this.follow(event);
    }
  }

  private follow(event: Event): void {
    switch (event.event) {
      case 'play_start':
        this.play = event.play ?? '';
        this.task = null;
        break;
      case 'task_start':
        this.task = {
          name: event.task ?? '',
          handler: event.handler ?? false,
          hosts: typeof event.hosts === 'number' ? event.hosts : null,
          answers: 0,
          item: null,
        };
        break;
      case 'item':
        if (this.task !== null && this.task.name === event.task) this.task.item = event.item ?? null;
        break;
      case 'ok':
      case 'failed':
      case 'unreachable':
      case 'skipped':
        if (this.task !== null && this.task.name === event.task) this.task.answers += 1;
        this.count(event.event, event);
        break;
    }
    this.measure(event);
  }

  private count(result: 'ok' | 'failed' | 'unreachable' | 'skipped', event: Event): void {
    const { host, changed = false, ignored = false, rescued = false, includes = 1 } = event;
    if (host === undefined || (this.counts.size >= mostHosts && !this.counts.has(host))) return;
    const counts = this.counts.get(host) ?? { ...noCounts };
    this.counts.set(host, counts);
    if (result === 'skipped') counts.skipped += 1;
    else if (result === 'ok' || ignored) counts.ok += includes;
    else if (rescued) counts.rescued += 1;
    else if (result === 'failed') counts.failures += 1;
    else counts.unreachable += 1;
    if (ignored) counts.ignored += 1;
    if (changed && (result === 'ok' || ignored)) counts.changed += 1;
  }

  private measure({ done, todo, at }: Event): void {
    if (at !== undefined) this.times.first ??= at;
    if (done === undefined) return;
    this.tasksDone = Math.max(this.tasksDone, done);
    if (todo === undefined) return;
    this.tasksTotal = this.tasksDone + todo;
    const share = this.tasksTotal === 0 ? 0 : this.tasksDone / this.tasksTotal;
    this.percent = Math.max(this.percent ?? 0, Math.min(99, Math.floor(share * 100)));
    if (at === undefined) return;
    while (this.times.reached.length < 9 && this.percent >= (this.times.reached.length + 1) * 10)
      this.times.reached.push(at);
  }
}

/** Undefined for a line that a full disk or a crash cut short, and for one that was never ours. */
function eventOf(line: string): Event | undefined {
  try {
    return Event.safeParse(JSON.parse(Buffer.from(line, 'latin1').toString('utf8'))).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function inOneLine(text: string, characters = messageCharacters): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= characters ? line : `${line.slice(0, characters - 1)}…`;
}
