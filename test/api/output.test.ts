import { readdirSync, readlinkSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { documentBytes, StoredOutput } from '../../src/store/output.js';
import { temporaryFolder } from './unreachable.js';

async function outputOf(stdout: string | Buffer): Promise<StoredOutput> {
  const folder = await temporaryFolder();
  await writeFile(path.join(folder, 'stdout.log'), stdout);
  return new StoredOutput(folder);
}

async function tailOf(stdout: string, lines: number): Promise<string> {
  const output = await outputOf(stdout);
  const size = await output.size();
  const start = await output.startOfTail(lines, size);
  return start === size ? '' : text(output.stream(start, size));
}

describe('the tail of an output', () => {
  it('is its last lines, complete or not', async () => {
    expect(await tailOf('a\nb\nc\n', 2)).toBe('b\nc\n');
    expect(await tailOf('a\nb\nc', 2)).toBe('b\nc');
    expect(await tailOf('a\n\n\n', 2)).toBe('\n\n');
    expect(await tailOf('a\nb\n', 9)).toBe('a\nb\n');
    expect(await tailOf('a\nb\n', 0)).toBe('');
    expect(await tailOf('', 3)).toBe('');
  });

  it('is found across the pieces in which the file is read', async () => {
    const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index} äöü€\n`);
    for (const count of [1, 2, 3_000, 19_999, 20_000, 20_001]) {
      expect(await tailOf(lines.join(''), count)).toBe(lines.slice(-count).join(''));
    }
    const long = `first\n${'x'.repeat(300_000)}\n`;
    expect(await tailOf(long, 1)).toBe(long.slice(6));
  });
});

describe('the output in a document', () => {
  it('is whole up to 64 KiB', async () => {
    const exactly = `${'x'.repeat(documentBytes - 1)}\n`;
    expect(await (await outputOf(exactly)).summary(true)).toMatchObject({
      text: exactly,
      truncated: false,
      available: true,
    });
  });

  it('is the last lines within 64 KiB beyond that', async () => {
    const lines = Array.from({ length: 10_000 }, (_, index) => `€ line ${index}\n`);
    const { text: kept, truncated } = await (await outputOf(lines.join(''))).summary(true);
    expect(truncated).toBe(true);
    expect(Buffer.byteLength(kept!)).toBeLessThanOrEqual(documentBytes);
    expect(Buffer.byteLength(kept!)).toBeGreaterThan(documentBytes - 100);
    expect(lines.join('').endsWith(kept!)).toBe(true);
    expect(kept!.startsWith('€ line ')).toBe(true);
  });

  it('is cut between characters where there is only one line', async () => {
    for (const pad of ['', 'x', 'xx']) {
      const { text: kept } = await (await outputOf(pad + '€'.repeat(30_000))).summary(true);
      expect(kept).toMatch(/^€+$/);
    }
  });

  it('has no half character at its end while more is being written', async () => {
    const bytes = Buffer.from('gut: ä');
    const { recentLines } = await (await outputOf(bytes.subarray(0, -1))).summary(false);
    expect(recentLines).toEqual(['gut: ']);
  });

  it('has the last 20 lines, and no text before the end', async () => {
    const lines = Array.from({ length: 50 }, (_, index) => `line ${index}`);
    const output = await outputOf(`${lines.join('\r\n')}\r\n`);
    expect(await output.summary(false)).toEqual({
      available: true,
      recentLines: lines.slice(-20),
      text: null,
      truncated: false,
    });
  });

  it('is empty before anything was printed', async () => {
    const output = new StoredOutput(await temporaryFolder());
    expect(await output.size()).toBe(0);
    expect(await output.summary(true)).toEqual({ available: false, recentLines: [], text: '', truncated: false });
  });
});

describe('the stream of an output', () => {
  it('fails rather than end before the bytes that were promised', async () => {
    const output = await outputOf('abc');
    await expect(text(output.stream(1, 5))).rejects.toThrow('ends at byte 3, before byte 5');
  });

  it('closes its file when its reader goes away, at whatever moment', async () => {
    const output = await outputOf('x'.repeat(1_000_000));
    const before = openFiles();
    for (const pieces of [0, 1, 2]) {
      const reader = output.stream(0, 1_000_000).getReader();
      for (let read = 0; read < pieces; read += 1) await reader.read();
      const underWay = reader.read();
      await reader.cancel();
      await underWay;
    }
    expect(openFiles()).toBe(before);
  });
});

/** How many outputs this process has open. */
function openFiles(): number {
  const targets = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ''; // the one by which this folder was read
    }
  });
  return targets.filter((target) => target.endsWith('stdout.log')).length;
}

describe('the work of an attempt that ended', () => {
  async function workOf(...lines: string[]): Promise<unknown> {
    const folder = await temporaryFolder();
    await writeFile(path.join(folder, 'events.jsonl'), lines.join('\n'));
    return new StoredOutput(folder).work();
  }
  const event = (done: number, todo?: number): string =>
    JSON.stringify({ seq: done + 1, event: 'ok', message: 'x'.repeat(1000), done, todo });

  it('is what its last event says', async () => {
    expect(await workOf(event(1, 2), event(2, 1), '')).toEqual({ done: 2, total: 3 });
    expect(await workOf(...Array.from({ length: 1000 }, (_, index) => event(index, 7)))).toEqual({
      done: 999,
      total: 1006,
    });
    expect(await workOf(event(1))).toEqual({ done: 1, total: null });
  });

  it('is what the last whole event says where lines were cut or broken', async () => {
    expect(await workOf(event(1, 2), event(2, 1).slice(0, -3))).toEqual({ done: 1, total: 3 });
    expect(await workOf(event(1, 2), '{"done": "many"}', '\0\0\0', '[]', 'null')).toEqual({ done: 1, total: 3 });
  });

  it('is unknown without any', async () => {
    expect(await workOf()).toBeNull();
    expect(await workOf('x'.repeat(300_000))).toBeNull();
    expect(await new StoredOutput(await temporaryFolder()).work()).toBeNull();
  });
});
