import { execFileSync } from 'node:child_process';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { textOf, until } from '../ansible/bench.js';
import { signal } from '../service/processes.js';
import { asNobody, hiding, isRoot, TaskBench, type Task } from './bench.js';

const unknown = { state: 'running', unknown: true, message: expect.stringMatching(/^unknown/) as string };

/** What a look says of evidence that was changed by other hands than ours. */
describe('a look tells the truth', () => {
  test('before and during a start: ready, claimed, never began, void, absent', async () => {
    await using bench = await TaskBench.open();
    const [task, gone] = await bench.prepareAll([{ argv: ['true'] }, { argv: ['true'] }]);
    expect(await bench.look(task!)).toEqual({ state: 'ready' });
    claim(task!, { supervisor: self(), ansible: self() });
    expect(await bench.look(task!)).toEqual({ state: 'claimed' });
    claim(task!, { supervisor: { ...self(), start: 1 }, ansible: { ...self(), start: 1 } });
    expect(await bench.look(task!)).toEqual({ state: 'never_began' });
    expect(await bench.end(task!)).toEqual({ left: [], unknown: null });
    expect(await bench.look(task!)).toEqual({ state: 'void', cause: 'cancel', reason: 'asked to' });
    rmSync(path.join(gone!.dir, 'token'));
    expect(await bench.look(gone!)).toEqual({ state: 'absent' });
    rmSync(gone!.dir, { recursive: true });
    expect(await bench.look(gone!)).toMatchObject({ state: 'absent' });
  });

  test('of others is not hindered by one whose claim is removed', async () => {
    await using bench = await TaskBench.open();
    const [killed, other] = await bench.prepareAll([{ shell: 'kill -9 $$' }, { shell: 'exec sleep 600' }]);
    for (const task of [killed!, other!]) await bench.start(task);
    await bench.ended(killed!);
    rmSync(path.join(killed!.dir, 'claim.1'));
    expect((await bench.looks([killed!, other!])).map(({ state }) => state)).toEqual(['finished', 'running']);
  });

  test('of a task whose folder, result or records are gone, empty or half-written', async () => {
    await using bench = await TaskBench.open();
    const work = { shell: `exec sleep 600` };
    const [removed, unclaimed, noStart, halfStart, halfResult] = await bench.prepareAll([work, work, work, work, work]);
    for (const task of [removed, unclaimed, noStart, halfStart, halfResult]) {
      await bench.start(task!);
      await bench.claimant(task!, 'command');
    }
    rmSync(removed!.dir, { recursive: true });
    expect(await bench.look(removed!)).toMatchObject({ state: 'running', message: expect.stringMatching(/removed/) });
    killAll(bench, removed!);
    expect(await bench.look(removed!)).toMatchObject({ state: 'absent' });

    writeFileSync(path.join(unclaimed!.dir, 'claim.1'), '{"void": fal');
    expect(await bench.look(unclaimed!)).toMatchObject({
      state: 'running',
      message: expect.stringMatching(/claim can't be read/),
    });
    killAll(bench, unclaimed!);
    expect(await bench.look(unclaimed!)).toMatchObject({ state: 'gone', kind: 'lost', why: "its claim can't be read" });

    writeFileSync(path.join(halfStart!.dir, 'started'), '');
    expect(await bench.look(halfStart!)).toMatchObject({ state: 'running', supervised: true });
    killAll(bench, halfStart!);
    expect(await bench.look(halfStart!)).toMatchObject({
      state: 'gone',
      kind: 'lost',
      why: "its started can't be read",
    });

    killAll(bench, halfResult!);
    writeFileSync(path.join(halfResult!.dir, 'result.json'), '{"rc": 0, "sig');
    expect(await bench.look(halfResult!)).toMatchObject({
      state: 'gone',
      kind: 'lost',
      why: "its result.json can't be read",
    });

    killAll(bench, noStart!);
    expect(await bench.look(noStart!)).toMatchObject({ state: 'gone', kind: 'orphaned' });
  });

  test('after a reboot, on another machine, and from another pid namespace', async () => {
    await using bench = await TaskBench.open();
    const task = await bench.startNew({ argv: ['sleep', '600'] });
    await bench.claimant(task, 'command');
    const record = bench.record(task, 'claim.1');
    const change = (changed: object) =>
      claim(task, {
        ...record,
        supervisor: { ...record.supervisor, ...changed },
        ansible: { ...record.ansible, ...changed },
      });
    change({ boot: 'an earlier one' });
    expect(await bench.look(task)).toMatchObject({ state: 'gone', kind: 'lost', why: 'its machine was rebooted' });
    change({ boot: 'another one', machine: 'another one' });
    expect(await bench.look(task)).toMatchObject(unknown);
    expect(await bench.end(task)).toMatchObject({ left: [], unknown: expect.any(String) });
    change({ pidns: 'pid:[1]' });
    expect(await bench.look(task)).toMatchObject(unknown);
    rmSync(path.join(task.dir, 'started'));
    expect(await bench.look(task)).toMatchObject({ ...unknown, state: 'claimed' });
    expect(await bench.start(task)).toMatchObject({ failed: false, ansible_job_id: record.job_id });
  });

  test.skipIf(!isRoot)('where there is no /proc, it says unknown (skipped: needs root)', async () => {
    await using bench = await TaskBench.open();
    const task = await bench.startNew({ argv: ['sleep', '600'] });
    await bench.claimant(task, 'command');
    const withoutProc = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /proc && exec "$@"', 'sh'];
    expect(await bench.look(task, {}, withoutProc)).toMatchObject(unknown);
  });

  test.skipIf(!isRoot)('where /proc hides what others run, it says unknown (skipped: needs root)', async () => {
    await using bench = await TaskBench.open();
    const task = await bench.startNew({ argv: ['sleep', '600'] });
    await bench.claimant(task, 'command');
    execFileSync('chown', ['-R', '65534', bench.folder]);
    expect(await bench.look(task, {}, [...hiding, ...asNobody])).toMatchObject(unknown);
    const seen = { state: 'running', unknown: false, supervised: true, message: null };
    expect(await bench.look(task, {}, asNobody)).toMatchObject(seen);
    await bench.kill(task, 'supervisor', 'ansible');
    expect(await bench.look(task, {}, [...hiding, ...asNobody])).toMatchObject(unknown);
    expect(await bench.look(task, {}, asNobody)).toMatchObject({
      ...seen,
      supervised: false,
      message: expect.any(String),
    });
  });

  test('when a module was killed in the middle of its answer, and when only those that watched it were', async () => {
    await using bench = await TaskBench.open();
    const text = (answer: string) =>
      `#!${bench.python}\nimport os, time\nprint('${answer}', flush=True)\nwhile not os.path.exists('${bench.goFile}'): time.sleep(0.1)\n`;
    const whole = await bench.startModule(text('{"changed": true, "rc": 5, "stdout": "said"}'));
    const half = await bench.startModule(text('{"changed": tr'));
    for (const task of [whole, half]) {
      await until('an answer', async () => (await textOf(path.join(task.dir, 'module.out'))) !== '');
      await bench.kill(task, 'supervisor');
      expect(await bench.look(task)).toMatchObject({ state: 'running', supervised: false });
    }
    bench.letGo();
    expect(await bench.ended(whole)).toMatchObject({
      state: 'finished',
      result: { rc: 5, failed: true, changed: true, by: 'look', module: { stdout: 'said' } },
      stdout: { data: Buffer.from('said').toString('base64') },
    });
    expect(await bench.ended(half)).toMatchObject({ state: 'gone', kind: 'orphaned' });
  });

  test('when a module has answered and left a daemon behind, with nobody left to record that: it has finished', async () => {
    await using bench = await TaskBench.open();
    const text = `#!${bench.python}
import os, subprocess, time
subprocess.Popen(['sleep', '600'], start_new_session=True, stdout=subprocess.DEVNULL)
os.system(${JSON.stringify(bench.note('up'))})
while not os.path.exists('${bench.goFile}'): time.sleep(0.1)
print('{"changed": true, "state": "started"}')
`;
    const task = await bench.startModule(text);
    await bench.ledgerHas('up');
    await bench.kill(task, 'supervisor');
    expect(await bench.look(task)).toMatchObject({ state: 'running', supervised: false });
    bench.letGo();
    expect(await bench.ended(task)).toMatchObject({
      state: 'finished',
      result: {
        ...{ rc: 0, failed: false, changed: true, by: 'look', module: { state: 'started' } },
        leftovers: [{ pid: expect.any(Number) as number, command: 'sleep 600' }],
      },
    });
    expect(bench.members(task).map(({ command }) => command)).toEqual(['sleep 600']);
  });

  test('of paths that are none of ours: they are not read', async () => {
    await using bench = await TaskBench.open();
    const task = await bench.prepare({ argv: ['true'] });
    const id = '0'.repeat(32);
    const link = path.join(bench.base, id);
    symlinkSync(task.dir, link);
    const marker = `LONGHAUL_TASK=${id}`;
    for (const dir of [link, `${bench.base}/../${id}`, '/etc', id, `/proc/self/root${task.dir}/..`, 7])
      expect(await bench.look({ ...task, dir: dir as string, marker }), String(dir)).toMatchObject({
        state: 'absent',
        message: expect.any(String),
      });
    expect(await bench.look({ ...task, marker: 'LONGHAUL_ATTEMPT=1' })).toMatchObject({
      state: 'absent',
      message: expect.stringMatching(/marker/),
    });
  });
});

function self() {
  const stat = execFileSync('cat', [`/proc/${process.pid}/stat`])
    .toString()
    .split(') ')[1]!
    .split(' ');
  const boot = execFileSync('cat', ['/proc/sys/kernel/random/boot_id']).toString().trim();
  const pidns = execFileSync('readlink', ['/proc/self/ns/pid']).toString().trim();
  return { pid: process.pid, start: Number(stat[19]), boot, pidns };
}

/** Forges the first claim. */
function claim(task: Task, record: object): void {
  rmSync(path.join(task.dir, 'token'), { force: true });
  writeFileSync(path.join(task.dir, 'claim.1'), JSON.stringify({ void: false, at: 1, ...record }));
}

function killAll(bench: TaskBench, task: Task): void {
  while (bench.members(task).length > 0) for (const { pid } of bench.members(task)) signal(pid, 'SIGKILL');
}
