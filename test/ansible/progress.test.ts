import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { AttemptProgress } from '../../src/activities/progress.js';
import type { HostStats } from '../../src/job/outcome.js';
import type { JobSpec } from '../../src/job/spec.js';
import { ProgressReader } from '../../src/store/progress.js';
import { chaos, someOf } from '../service/chaos.js';
import { AttemptBench, textOf } from './bench.js';

const local = { ansible_connection: 'local' };
const hosts = (...names: string[]) => Object.fromEntries(names.map((name) => [name, local]));
const inventory = {
  web: { hosts: hosts('h1', 'h2', 'h3', 'h4') },
  db: { hosts: hosts('h5', 'h6', 'h7', 'h8') },
};

/** What was shown after each event of a run, and what share of all results, in percent, there truly were by then. */
interface Shown {
  shown: number;
  truly: number;
}

/** What a look tells of a running attempt; its progress is read from its folder. */
const seen = { state: 'running', supervised: true, message: null, startedAt: null, startedMonotonicNs: null } as const;

/** Runs a playbook and shows its events, one by one, to whoever follows its progress. */
async function follow(spec: Partial<JobSpec> & { playbook: string }) {
  await using bench = await AttemptBench.open({ inventory, ...spec });
  const ref = await bench.place();
  const outcome = await bench.run(ref);
  // A busy machine's last look may be a long time before its end.
  const heartbeats = [...bench.heartbeats, await new AttemptProgress(bench.context, ref).heartbeat(seen)];
  const lines = (await textOf(path.join(bench.folder, 'events.jsonl'))).trim().split('\n');
  const events = lines.map((line) => JSON.parse(line) as Record<string, any>);
  const isResult = ({ event }: Record<string, any>): boolean =>
    ['ok', 'failed', 'skipped', 'unreachable'].includes(event as string);
  const total = events.filter(isResult).length;

  const folder = await mkdtemp(path.join(os.tmpdir(), 'longhaul-progress-'));
  try {
    const reader = new ProgressReader(folder);
    const course: Shown[] = [];
    let results = 0;
    for (const [at, line] of lines.entries()) {
      await appendFile(path.join(folder, 'events.jsonl'), `${line}\n`);
      await reader.update();
      results += isResult(events[at]!) ? 1 : 0;
      course.push({ shown: reader.progress.percent!, truly: (100 * results) / total });
    }
    return { outcome, events, lines, total, course, progress: reader.progress, heartbeats };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function expectTruthful({ course, total, progress, events }: Awaited<ReturnType<typeof follow>>): void {
  const shares = course.map(({ shown }) => shown);
  expect(shares).toEqual([...shares].sort((one, other) => one - other));
  expect(shares.every((shown) => shown >= 0 && shown < 100)).toBe(true);
  const quarters = [25, 50, 75].map((quarter) => course.find(({ truly }) => truly >= quarter)!);
  for (const { shown, truly } of [...quarters, ...course])
    expect(Math.abs(shown - truly), `${shown} was shown for ${truly}`).toBeLessThanOrEqual(15);
  expect(events.filter(({ event }) => event === 'estimate_lost')).toEqual([]);
  expect(progress).toMatchObject({ percent: 99, tasksDone: total, tasksTotal: total });
}

describe('the progress of a playbook', () => {
  test.for<[string, Partial<JobSpec>]>(
    someOf(2, [
      ['roles', {}],
      ['includes', {}],
      ['loops', {}],
      ['plays', { extra_vars: { everyone: 'all' } }],
      ['rescue', {}],
    ]),
  )('with %s is near the truth, never goes back, and ends at the end', async ([name, more]) => {
    const run = await follow({ playbook: `progress/${name}.yml`, ...more });
    expectTruthful(run);
    expect(run.progress.hosts).toEqual(run.outcome.stats);
    expect(run.outcome).toMatchObject({ rc: name === 'rescue' ? 4 : 0 });
  });

  const further: [string, Partial<JobSpec>][] = [
    ['a limit', { limit: 'h1,h5' }],
    ['tags that leave something out', { tags: ['never', 'always'], extra_vars: { everyone: 'db' } }],
    ['check mode', { check: true, extra_vars: { everyone: 'db' } }],
    ['a limit that leaves no host', { limit: 'h1', extra_vars: { everyone: 'db' } }],
  ];
  test.for(someOf(1, further))('with %s is near the truth too', async ([, more]) => {
    const run = await follow({ playbook: 'progress/plays.yml', extra_vars: { everyone: 'all' }, ...more });
    expectTruthful(run);
  });

  test('of very many hosts is told in few bytes, and in lines that are not long', async () => {
    const names = Array.from({ length: chaos(60, 500).rounds }, (_, at) => `host-${at}.example.org`);
    const run = await follow({
      playbook: 'progress/fleet.yml',
      inventory: { fleet: { hosts: hosts(...names) } },
      extra_vars: { broken: names.at(-1) },
      forks: 10,
    });
    expectTruthful(run);
    expect(Object.keys(run.outcome.stats)).toHaveLength(names.length);
    expect(Math.max(...run.lines.map((line) => Buffer.byteLength(line)))).toBeLessThan(20_000);
    expect(run.lines.every((line, at) => line.startsWith(`{"seq": ${at + 1}, "event": "`))).toBe(true);
    const told = run.heartbeats.at(-1)!;
    expect(Math.max(...run.heartbeats.map((heartbeat) => JSON.stringify(heartbeat).length))).toBeLessThan(4_096);
    expect(told).toMatchObject({ play: 'A fleet', unusual: false });
    expect(Object.keys(told.hosts!).length).toBeGreaterThan(20);
    const last = (stats: Record<string, Partial<HostStats>>): unknown => stats[names.at(-1)!];
    expect(last(run.progress.hosts)).toMatchObject({ failures: 1 });
  });

  test('of one that can not be loaded is nothing, and that is no failure of its own', async () => {
    await using bench = await AttemptBench.open({ playbook: 'progress/missing.yml' });
    expect(await bench.run(await bench.place())).toMatchObject({ status: 'failed', failure: { kind: 'exit' } });
  });
});
