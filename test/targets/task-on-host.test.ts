import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { notStarted } from '../../src/job/progress.js';
import type { TargetCalls, ToEnd } from '../../src/targets/calls.js';
import type { EndedJob, Look } from '../../src/targets/looks.js';
import { HostOutput } from '../../src/targets/output.js';
import { failed } from '../../src/targets/results.js';
import { runOnHost, type Standing } from '../../src/targets/task-on-host.js';
import type { Watched } from '../../src/targets/host-watch.js';
import type { Watches } from '../../src/targets/watches.js';
import { until } from '../ansible/bench.js';

const times = { started_at: 1_700_000_000, job_id: 'j1.2' };
const running: Look = { state: 'running', ...times, message: null };
const gone: Look = { state: 'gone', ...times, kind: 'orphaned', why: 'nothing of it runs' };
const nothingLeft: EndedJob = { left: [], unknown: null };

function finished(result: object): Look {
  const known = { rc: null, signal: null, cause: null, at: 1_700_000_100 };
  return { state: 'finished', ...times, result: { ...known, ...result } };
}

/** A watcher of a job whose host answers what it is told to. */
async function watching({
  before = {},
  ends = [],
  timeout = null,
}: { before?: Partial<Standing>; ends?: EndedJob[]; timeout?: number | null } = {}) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'longhaul-watching-'));
  const files = { stdout: path.join(folder, 'stdout'), stderr: path.join(folder, 'stderr') };
  const asked: ToEnd[] = [];
  const standings: Standing[] = [];
  let watcher: Watched | undefined;
  let looksAsked = 0;
  const tools = {
    calls: {
      end: (_: unknown, job: ToEnd) => {
        asked.push(job);
        return Promise.resolve({ status: 'ok', value: ends.shift() ?? nothingLeft });
      },
    } as unknown as TargetCalls,
    watches: {
      add: (_: unknown, added: Watched) => {
        watcher = added;
        return () => undefined;
      },
      soon: () => (looksAsked += 1),
    } as unknown as Watches,
    log: pino({ level: 'silent' }),
    confirmIntervalMs: 0,
    killGraceMs: 0,
  };
  const task = {
    host: { host: 'h', inventory: null, local: true } as never,
    place: { dir: '/tasks/x', token: 't', local: true, machine: 'm' } as never,
    marker: 'LONGHAUL_TASK=x',
    launch: null,
    timeout,
    unreachableAfterMs: 3_600_000,
    before: { result: notStarted, unreachableSince: null, unclearSince: null, ...before },
    since: Date.now(),
    output: await HostOutput.open(files),
  };
  const aborting = new AbortController();
  let result: unknown;
  const ended = runOnHost(tools, task, (standing) => standings.push(standing), aborting.signal).then(
    (settled) => (result = settled),
    () => undefined,
  );
  return {
    asked,
    standings,
    ended,
    looksAsked: () => looksAsked,
    see: (look: Look) => watcher!.seen(look),
    unseen: () => watcher!.unseen('no route to host'),
    result: () => result,
    async [Symbol.asyncDispose]() {
      aborting.abort();
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

test('of what is gone the record tells, which a cancel may have made first', async () => {
  await using watched = await watching();
  await watched.see(running);
  await watched.see(gone);
  await watched.see(gone);
  await until('it to be put on record', () => watched.asked.length > 0 && watched.looksAsked() > 0);
  expect(watched.asked[0]).toMatchObject({ cause: 'orphaned', reason: 'nothing of it runs' });
  expect(watched.result()).toBeUndefined();
  await watched.see(finished({ cause: 'cancel', lost: null }));
  expect(await watched.ended).toMatchObject({ status: 'canceled', failure: null });
});

test('a timeout counts when nothing is left; what holds it up is told, and asked again with the next look', async () => {
  const unknown = { left: [], unknown: "whether pid 7 lives can't be seen" };
  await using watched = await watching({ ends: [unknown, { left: [{ pid: 7, command: 'x' }], unknown: null }] });
  const look = finished({ cause: 'timeout', rc: 0 });
  await watched.see(look);
  await until('it to be told', () => watched.standings.at(-1)?.result.message?.includes('pid 7 lives') === true);
  expect(watched.standings.at(-1)?.unclearSince).not.toBeNull();
  await watched.see(look);
  await until('it to be told', () => watched.standings.at(-1)?.result.message?.includes("can't be killed") === true);
  // One by `end` itself, whose answer came through.
  const before = watched.looksAsked();
  expect([watched.result(), watched.asked.length, before]).toEqual([undefined, 2, 0]);
  await watched.see(look);
  await until('the next look', () => watched.looksAsked() > 0);
  await watched.see(look);
  expect(await watched.ended).toMatchObject({ failure: { kind: 'timed_out' } });
  expect(watched.asked).toHaveLength(3);
});

test('a timeout counts by what the host says for how long it runs, not by its clock', async () => {
  await using watched = await watching({ timeout: 600 });
  await watched.see({ ...running, running_for: 5, supervised: false });
  expect(watched.asked).toEqual([]);
  await watched.see({ ...running, running_for: 601, supervised: false });
  expect(watched.asked).toMatchObject([{ cause: 'timeout' }]);
});

test('what a signal has ended counts also where nobody can see whether something is left', async () => {
  await using watched = await watching({ ends: [{ left: [], unknown: 'hidden' }] });
  await watched.see(finished({ signal: 9 }));
  await until('the next look', () => watched.looksAsked() > 0);
  await watched.see(finished({ signal: 9 }));
  expect(await watched.ended).toMatchObject({ failure: { kind: 'killed', signal: 9 } });
});

test('what holds up the end of a timeout stays told while it runs, so that it can be given up', async () => {
  const unknown = { left: [], unknown: 'hidden' };
  await using watched = await watching({ timeout: 600, ends: [unknown, unknown] });
  const overdue: Look = { ...running, running_for: 700, supervised: false };
  await watched.see(overdue);
  await until('it to be told', () => watched.standings.at(-1)?.unclearSince != null);
  const since = watched.standings.at(-1)?.unclearSince;
  await watched.see(overdue);
  await until('another try', () => watched.asked.length === 2);
  expect(watched.standings.map(({ unclearSince }) => unclearSince).slice(-2)).toEqual([since, since]);
});

test('a host that an earlier watcher had given up stays so at the first miss, unless it has answered', async () => {
  const result = failed({ kind: 'unreachable', message: 'nothing was heard of it' });
  await using one = await watching({ before: { result } });
  one.unseen();
  expect(await one.ended).toEqual(result);
  await using other = await watching({ before: { result } });
  await other.see(running);
  other.unseen();
  expect(other.standings.at(-1)?.result).toMatchObject({
    status: 'running',
    message: expect.stringContaining('route'),
  });
  await other.see(finished({ rc: 0 }));
  expect(await other.ended).toMatchObject({ status: 'successful' });
});

test('what has run and has no records any more is lost, and was not "never started"', async () => {
  await using watched = await watching();
  await watched.see(running);
  const absent: Look = { state: 'absent' };
  await watched.see(absent);
  await watched.see(absent);
  await until('it to be made void', () => watched.looksAsked() > 0 && watched.asked.length > 0);
  const [asked] = watched.asked;
  expect(watched.result()).toBeUndefined();
  await watched.see({ state: 'void', cause: 'lost', reason: 'reason' in asked! ? asked.reason : '' });
  expect(await watched.ended).toMatchObject({
    failure: { kind: 'lost', message: 'its records on the host are gone, with all that told whether it ran' },
    started_at: new Date(1_700_000_000_000).toISOString(),
  });
});

test('what was seen of an end outranks what its host shows of it later', async () => {
  const result = { ...failed({ kind: 'exit', message: 'it ended with rc 3' }), rc: 3 };
  for (const later of [running, finished({ lost: 'gone', verdict: 'lost' })]) {
    await using watched = await watching({ before: { result } });
    await watched.see(later);
    expect(await watched.ended).toEqual(result);
  }
});
