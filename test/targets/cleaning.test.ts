import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { signal } from '../service/processes.js';
import { TaskBench } from './bench.js';

test('a clean-up leaves the claims, may be repeated, and starts nothing again', async () => {
  await using bench = await TaskBench.open();
  const task = await bench.startNew({ shell: bench.note('ran') });
  const { job_id } = await bench.ended(task);
  await bench.allGone(task);
  for (const repeated of [1, 2])
    expect(await bench.clean(task), String(repeated)).toEqual({ cleaned: true, reason: null });
  expect(readdirSync(task.dir).sort()).toEqual(['claim.1', 'cleaned', 'plan.json', 'result.json', 'started']);
  expect(await bench.look(task)).toMatchObject({ state: 'finished', result: { rc: 0 }, job_id });
  expect(await bench.start(task)).toMatchObject({ failed: false, ansible_job_id: job_id });
  expect(await bench.ledger()).toEqual(['ran']);
});

test('a clean-up refuses what is not over, and what is no attempt of ours', async () => {
  await using bench = await TaskBench.open();
  const ready = await bench.prepare({ argv: ['true'] });
  expect(await bench.clean(ready)).toEqual({ cleaned: false, reason: 'it is ready' });
  const task = await bench.startNew({ argv: ['sleep', '600'] });
  await bench.claimant(task, 'command');
  expect(await bench.clean(task)).toEqual({ cleaned: false, reason: 'it is running' });
  const other = path.join(bench.folder, 'f'.repeat(32));
  mkdirSync(other);
  writeFileSync(path.join(other, 'precious'), '');
  const link = path.join(bench.base, 'e'.repeat(32));
  symlinkSync(other, link);
  const dirs = [other, link, '/etc', '.', `${other}/../${path.basename(other)}`, ''];
  const { jobs } = await bench.call('longhaul_clean', { dirs, kept: 0 });
  expect(jobs.map(({ cleaned }: { cleaned: boolean }) => cleaned)).toEqual(dirs.map(() => false));
  expect(existsSync(path.join(other, 'precious'))).toBe(true);
  expect((await bench.call('longhaul_clean', { dirs: [path.join(bench.base, 'a'.repeat(32))], kept: 0 })).jobs).toEqual(
    [{ cleaned: true, reason: 'it is not there' }],
  );
});

test('what has expired goes with the next preparation, and nothing else does', async () => {
  await using bench = await TaskBench.open();
  const works = [0, 0, 3600, 3600, 0, 0].map((kept) => ({
    kept,
    shell: 'true',
  }));
  const [unclaimed, ended, fresh, cleaned, living, killed] = await bench.prepareAll(works);
  for (const task of [ended, cleaned]) {
    await bench.start(task!);
    await bench.ended(task!);
    await bench.allGone(task!);
  }
  writeFileSync(
    path.join(living!.dir, 'plan.json'),
    JSON.stringify({ ...bench.record(living!, 'plan.json'), shell: 'exec sleep 600' }),
  );
  writeFileSync(
    path.join(killed!.dir, 'plan.json'),
    JSON.stringify({ ...bench.record(killed!, 'plan.json'), shell: 'exec sleep 600' }),
  );
  for (const task of [living!, killed!]) {
    await bench.start(task);
    await bench.claimant(task, 'command');
  }
  while (bench.members(killed!).length > 0) for (const { pid } of bench.members(killed!)) signal(pid, 'SIGKILL');
  await bench.clean(cleaned!, 0);
  const half = path.join(bench.base, `.new.${'1'.repeat(32)}.${'2'.repeat(16)}`);
  const others = ['something-else', '.old.releases', '.new.1.1'].map((name) => path.join(bench.base, name));
  for (const folder of [half, ...others]) {
    mkdirSync(folder);
    utimesSync(folder, 1, 1);
  }
  await bench.prepare({ shell: 'true' });
  const left = [unclaimed, ended, fresh, cleaned, living, killed].map((task) => existsSync(task!.dir));
  expect(left).toEqual([false, false, true, false, true, false]);
  expect([half, ...others].map((folder) => existsSync(folder))).toEqual([false, true, true, true]);
  expect(await bench.start(unclaimed!)).toMatchObject({ failed: true, longhaul: { claim: 'absent' } });
});

test('what is asked for wrongly is not prepared, and the others are', async () => {
  await using bench = await TaskBench.open();
  const good = bench.job({ argv: ['true'] });
  const wrong = [
    { id: '../escape' },
    { id: 'A'.repeat(32) },
    { marker: 'PATH=/bin' },
    { token: '' },
    { argv: [] },
    { argv: ['a', 1] },
    { argv: ['a\0b'] },
    { shell: 'both' },
    { timeout: 'soon' },
    { kept: -1 },
  ].map((change) => ({ ...bench.job({ argv: ['true'] }), ...change }));
  const { jobs } = await bench.call('longhaul_prepare', { jobs: [...wrong, good], base: bench.base });
  const refusal = { error: { kind: 'launch', msg: expect.any(String) as string } };
  expect(jobs).toEqual([...wrong.map(() => refusal), expect.objectContaining({ dir: path.join(bench.base, good.id) })]);
  expect(readdirSync(bench.base)).toEqual([good.id]);
  rmSync(bench.base, { recursive: true });
  mkdirSync(bench.base, { mode: 0o777 });
  await bench.run(['chmod', '-v', '777', bench.base], bench.env);
  expect((await bench.call('longhaul_prepare', { jobs: [good], base: bench.base })).jobs).toEqual([refusal]);
});
