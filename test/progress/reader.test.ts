import { appendFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ProgressReader } from '../../src/store/progress.js';
import { temporaryFolder } from '../api/unreachable.js';

/** An events file that grows, and its reader. */
async function eventsFile() {
  const folder = await temporaryFolder();
  const file = path.join(folder, 'events.jsonl');
  const reader = new ProgressReader(folder);
  return {
    file,
    reader,
    /** Appends text, and reads on. */
    append: async (...lines: (object | string)[]) => {
      await appendFile(
        file,
        lines.map((line) => (typeof line === 'string' ? line : `${JSON.stringify(line)}\n`)).join(''),
      );
      await reader.update();
      return reader.progress;
    },
  };
}

const ok = (done: number, todo: number, more: object = {}): object => ({
  event: 'ok',
  host: 'a',
  task: 't',
  done,
  todo,
  ...more,
});

describe('progress read from events', () => {
  it('is unknown before there are any', async () => {
    const reader = new ProgressReader(await temporaryFolder());
    await reader.update();
    expect(reader.progress).toEqual({
      percent: null,
      tasksDone: 0,
      tasksTotal: null,
      message: null,
      hosts: {},
      targets: {},
    });
  });

  it('never goes back, and is never 100 before the end', async () => {
    const { append } = await eventsFile();
    expect(await append(ok(1, 3))).toMatchObject({ percent: 25, tasksDone: 1, tasksTotal: 4 });
    expect(await append(ok(2, 98))).toMatchObject({ percent: 25, tasksDone: 2, tasksTotal: 100 });
    expect(await append(ok(50, 50))).toMatchObject({ percent: 50 });
    expect(await append(ok(100, 0))).toMatchObject({ percent: 99, tasksTotal: 100 });
    expect(await append({ event: 'stats', hosts: {}, done: 100, todo: 0 })).toMatchObject({ percent: 99 });
  });

  it('goes on counting what is done where what is left can not be told', async () => {
    const { append } = await eventsFile();
    await append(ok(1, 1));
    expect(await append({ event: 'ok', host: 'a', done: 2 })).toMatchObject({
      percent: 50,
      tasksDone: 2,
      tasksTotal: 2,
    });
    expect(await (await eventsFile()).append({ event: 'ok', done: 3 })).toMatchObject({ percent: null, tasksDone: 3 });
  });

  it('says in one line what it does', async () => {
    const { append } = await eventsFile();
    expect((await append({ event: 'play_start', play: 'Web\nservers' })).message).toBe('Play Web servers');
    const start = { event: 'task_start', task: 'Install  it' };
    expect((await append({ ...start, hosts: 1 })).message).toBe('Install it (Web servers)');
    expect((await append({ ...start, hosts: 12 })).message).toBe('Install it (Web servers), 0 of 12 hosts');
    const answers = ['ok', 'failed', 'skipped'].map((event) => ({ event, host: 'a', task: start.task }));
    expect((await append(...answers)).message).toBe('Install it (Web servers), 3 of 12 hosts');
    expect((await append({ ...start, hosts: null, handler: true })).message).toBe('Handler Install it (Web servers)');
    expect((await append({ event: 'item', task: start.task, item: 'nginx' })).message).toMatch(/, item nginx$/);
    const long = await append({ ...start, task: 'x'.repeat(100_000), hosts: 2 });
    expect(long.message!.length).toBeLessThan(400);
  });

  it("counts as Ansible's recap does", async () => {
    const { append } = await eventsFile();
    const { hosts } = await append(
      { event: 'ok', host: 'a', changed: true },
      { event: 'failed', host: 'a', ignored: true },
      { event: 'failed', host: 'a', rescued: true },
      { event: 'skipped', host: 'a' },
      { event: 'failed', host: 'a' },
      { event: 'unreachable', host: 'b' },
      { event: 'ok', host: 'b', includes: 3 },
    );
    expect(hosts.a).toEqual({ ok: 2, changed: 1, unreachable: 0, failures: 1, skipped: 1, rescued: 1, ignored: 1 });
    expect(hosts.b).toMatchObject({ ok: 3, unreachable: 1 });
  });

  it('counts nothing twice when it is asked for by many at once', async () => {
    const { file, reader } = await eventsFile();
    await writeFile(file, Array.from({ length: 2_000 }, (_, at) => `${JSON.stringify(ok(at + 1, 2_000))}\n`).join(''));
    await Promise.all(Array.from({ length: 20 }, () => reader.update()));
    expect(reader.progress).toMatchObject({ tasksDone: 2_000, hosts: { a: { ok: 2_000 } } });
  });
});

describe('progress read from a damaged events file', () => {
  it('takes a line that is written in pieces once it is whole, cut within a character too', async () => {
    const { file, reader } = await eventsFile();
    const bytes = Buffer.from(`${JSON.stringify({ event: 'play_start', play: 'Grüße €', done: 1, todo: 1 })}\n`);
    for (const byte of bytes) {
      expect(reader.progress.tasksDone).toBe(0);
      await appendFile(file, Buffer.of(byte));
      await reader.update();
    }
    expect(reader.progress).toMatchObject({ tasksDone: 1, message: 'Play Grüße €' });
  });

  it('passes over what is not an event, or not as it should be', async () => {
    const { append } = await eventsFile();
    const hostile = ['\n', '{"event": "ok", "done": 5', '\n', '[]\n', 'null\n', '"ok"\n', '\0\0\n', '{"done": 7}\n'];
    const wrong = [{ done: -1 }, { done: 1e300 }, { done: '9' }, { todo: -4, done: 9 }, { host: 7 }, { task: {} }];
    const progress = await append(ok(1, 1), ...hostile, ...wrong.map((part) => ({ ...ok(3, 3), ...part })), ok(2, 2));
    expect(progress).toMatchObject({ percent: 50, tasksDone: 2, tasksTotal: 4, hosts: { a: { ok: 2 } } });
  });

  it('has no use for a line without an end, and goes on after it', async () => {
    const { append, reader } = await eventsFile();
    await append('x'.repeat(3_000_000));
    expect(JSON.stringify(reader).length).toBeLessThan(1_000_000);
    expect(await append('x\n', ok(1, 1))).toMatchObject({ tasksDone: 1 });
  });

  it('begins again with a file that became shorter, and takes nothing back', async () => {
    const { append, file } = await eventsFile();
    await append(ok(1, 3), ok(2, 2));
    await truncate(file, 0);
    expect(await append(ok(1, 3))).toMatchObject({ percent: 50, tasksDone: 2, hosts: { a: { ok: 1 } } });
  });

  it('keeps the counters of so many hosts only', async () => {
    const { append } = await eventsFile();
    const { hosts } = await append(...Array.from({ length: 5_000 }, (_, at) => ok(at, 1, { host: `h${at}` })));
    expect(Object.keys(hosts)).toHaveLength(3_000);
  });
});
