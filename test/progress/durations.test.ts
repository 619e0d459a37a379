import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { secondsLeft, type PastRun } from '../../src/job/eta.js';
import { PlaybookSpec } from '../../src/job/kinds/playbook.js';
import { Durations } from '../../src/node/durations.js';
import { temporaryFolder } from '../api/unreachable.js';

const even = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
const past = (seconds: number, reached = even): PastRun => ({ seconds, reached });

describe('the time that is left', () => {
  it('is unknown without earlier runs', () => {
    expect(secondsLeft([], { percent: 50, elapsed: 10 })).toBeUndefined();
  });

  it('is what an earlier run took, when it has just begun', () => {
    expect(secondsLeft([past(100)], { percent: null, elapsed: 0 })).toBe(100);
    expect(secondsLeft([past(10), past(100), past(1_000)], { percent: 0, elapsed: 0 })).toBe(100);
  });

  it('is as before when it is as fast as before, however uneven its tasks are', () => {
    const late = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9];
    expect(secondsLeft([past(100, late)], { percent: 10, elapsed: 50 })).toBeCloseTo(50, 0);
    expect(secondsLeft([past(100)], { percent: 50, elapsed: 50 })).toBeCloseTo(50, 0);
  });

  it('is longer when it is slower, and shorter when it is faster, the more the further it has come', () => {
    const slow = [20, 50, 80].map((percent) => secondsLeft([past(100)], { percent, elapsed: 2 * percent })!);
    expect(slow.every((left, at) => left > 100 - [20, 50, 80][at]!)).toBe(true);
    expect(slow[2]! / 20).toBeGreaterThan(slow[0]! / 80);
    expect(secondsLeft([past(100)], { percent: 50, elapsed: 25 })!).toBeLessThan(50);
  });

  it('is a finite number, never below zero, wherever a run is', () => {
    for (const percent of [null, 0, 1, 50, 99])
      for (const elapsed of [0, 1e-6, 1, 99, 1e6])
        for (const runs of [
          [past(100)],
          [past(0.001)],
          [
            past(
              1,
              Array.from({ length: 9 }, () => 0),
            ),
          ],
        ]) {
          const left = secondsLeft(runs, { percent, elapsed })!;
          expect(Number.isFinite(left) && left >= 0, JSON.stringify({ percent, elapsed, runs })).toBe(true);
        }
  });
});

describe('the durations on a node', () => {
  const spec = PlaybookSpec.parse({ playbook: 'site.yml' });

  it('are kept for each tenant and each work, the last ten', async () => {
    const folder = path.join(await temporaryFolder(), 'durations');
    const durations = new Durations(folder);
    expect(await durations.of('one', spec)).toEqual([]);
    for (let run = 1; run <= 12; run++) await durations.add('one', spec, past(run));
    expect((await new Durations(folder).of('one', spec)).map(({ seconds }) => seconds)).toEqual([
      3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ]);
    expect(await durations.of('two', spec)).toEqual([]);
    expect(await durations.of('one', { ...spec, limit: 'web' })).toEqual([]);
    expect(await durations.of('one', { ...spec, extra_vars: { version: 2 } })).toHaveLength(10);
  });

  it('are begun anew where they can not be read', async () => {
    const folder = path.join(await temporaryFolder(), 'durations');
    const durations = new Durations(folder);
    await durations.add('one', spec, past(1));
    const [file] = await readdir(folder);
    for (const broken of ['', '{"runs": [', '{"runs": [{"seconds": -1, "reached": []}]}', '[]']) {
      await writeFile(path.join(folder, file!), broken);
      expect(await durations.of('one', spec)).toEqual([]);
      await durations.add('one', spec, past(2));
      expect(await durations.of('one', spec)).toEqual([past(2)]);
    }
  });

  it('of those not run for the longest time are forgotten', async () => {
    const folder = path.join(await temporaryFolder(), 'durations');
    await mkdir(folder);
    for (let other = 0; other < 1_000; other++) {
      await writeFile(path.join(folder, `${other}.json`), '{"runs": []}');
      await utimes(path.join(folder, `${other}.json`), other, other);
    }
    await new Durations(folder).add('one', spec, past(1));
    const left = await readdir(folder);
    expect(left).toHaveLength(900);
    expect(left).not.toContain('0.json');
    expect(await new Durations(folder).of('one', spec)).toHaveLength(1);
  });
});
