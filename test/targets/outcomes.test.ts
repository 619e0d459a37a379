import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { resultOfFinished } from '../../src/targets/results.js';
import { until } from '../ansible/bench.js';
import { canTrace } from '../ansible/crash-points.js';
import { asNobody, isRoot, kill, run, TaskBench } from './bench.js';

const failure = { state: 'finished', result: { failed: true, changed: true, rc: null, cause: null } };

test('a command ends as it ends: by its rc, by a signal, by not being there', async () => {
  await using bench = await TaskBench.open();
  const [good, bad, termed, killed, missing, nowhere] = await bench.prepareAll([
    { argv: ['printf', '%s\\n', '{{ not a template }} $HOME "quoted" ü'] },
    { shell: 'echo half >&2; exit 3' },
    { shell: 'kill -TERM $$' },
    { argv: ['sh', '-c', 'kill -KILL $$'] },
    { argv: ['no-such-program'] },
    { argv: ['true'], chdir: '/no/such/folder' },
  ]);
  for (const task of [good, bad, termed, killed, missing, nowhere]) await bench.start(task!);
  expect(await bench.ended(good!)).toMatchObject({
    state: 'finished',
    result: { rc: 0, signal: null, failed: false, by: 'ansible' },
  });
  expect(readFileSync(path.join(good!.dir, 'stdout'), 'utf8')).toBe('{{ not a template }} $HOME "quoted" ü\n');
  expect(await bench.ended(bad!)).toMatchObject({
    result: {
      rc: 3,
      signal: null,
      failed: true,
      msg: 'non-zero return code',
      stderr_bytes: 5,
      leftovers: [],
      storage: null,
    },
  });
  const seen = await bench.ended(termed!);
  expect(seen).toMatchObject({ ...failure, result: { ...failure.result, signal: 15 } });
  await until('the native file', () => bench.native(termed!, seen.job_id).rc !== undefined);
  expect(bench.native(termed!, seen.job_id)).toMatchObject({ rc: -15, failed: true, cmd: 'kill -TERM $$', stdout: '' });
  expect(await bench.ended(killed!)).toMatchObject({ result: { ...failure.result, signal: 9 } });
  expect(await bench.ended(missing!)).toMatchObject({
    result: {
      rc: 2,
      failed: true,
      msg: expect.stringContaining('[Errno 2] No such file or directory: ') as string,
      launch: expect.stringMatching(/No such file/) as string,
    },
  });
  expect(await bench.ended(nowhere!)).toMatchObject({
    state: 'void',
    cause: 'launch',
    reason: expect.stringMatching(/no\/such\/folder/) as string,
  });
  for (const task of [good, bad, termed, killed, missing, nowhere]) await bench.allGone(task!);
});

test.skipIf(!isRoot || !canTrace())(
  'a command for which there is no process to be had was not started (skipped: needs root and ptrace)',
  async () => {
    await using bench = await TaskBench.open();
    const task = await bench.prepare({ shell: bench.note('ran') });
    await run('chown', ['-R', '65534', bench.folder]);
    const { command, env } = bench.startLine(task);
    // With a slow disk there is time to set A a limit before it comes to the command.
    const slow = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'inject=fsync:delay_enter=5000000'];
    const starting = bench.run([...slow, ...asNobody, ...command], env);
    const ansible = await bench.claimant(task, 'ansible');
    await bench.run([...asNobody, 'prlimit', '--verbose', '--nproc=1:1', '--pid', String(ansible)], env);
    expect(JSON.parse(await starting)).toMatchObject({ failed: false, longhaul: { claim: 'taken' } });
    const why = '[Errno 11] Resource temporarily unavailable: /bin/sh';
    expect(await bench.look(task, {}, asNobody)).toMatchObject({
      state: 'finished',
      result: { rc: 11, signal: null, failed: true, by: 'ansible', msg: why, launch: why },
    });
    expect(await bench.ledger()).toEqual([]);
    await bench.allGone(task);
  },
);

test('a command finds what programs expect: nothing to read, its folder, signals as they are by default', async () => {
  await using bench = await TaskBench.open();
  const shell =
    'wc -c; pwd; env | grep -c LONGHAUL_TOKEN; trap; grep -E "SigIgn|SigBlk" /proc/self/status; yes | head -1';
  const [given, home] = await bench.prepareAll([{ shell, chdir: bench.folder }, { argv: ['pwd'] }]);
  for (const task of [given!, home!]) await bench.start(task);
  await bench.ended(given!);
  const printed = readFileSync(path.join(given!.dir, 'stdout'), 'utf8').split('\n');
  expect(printed.slice(0, 3)).toEqual(['0', bench.folder, '0']);
  expect(printed.slice(3)).toEqual([
    expect.stringMatching(/SigBlk:\t0+$/),
    expect.stringMatching(/SigIgn:\t0+$/),
    'y',
    '',
  ]);
  await bench.ended(home!);
  expect(readFileSync(path.join(home!.dir, 'stdout'), 'utf8')).toBe(
    `${(await bench.run(['sh', '-c', 'echo ~root'], {})).trim()}\n`,
  );
});

test('kill -9 of A, of S, of the command: its true end is on record; of A and S: it goes on, and is then orphaned', async () => {
  await using bench = await TaskBench.open();
  const shell = `echo before; ${bench.untilLetGo}; echo after; exit 4`;
  const victims = [
    ['ansible'],
    ['supervisor'],
    ['ansible', 'supervisor'],
    ['supervisor', 'ansible'],
    ['command'],
  ] as const;
  const tasks = await bench.prepareAll(victims.map(() => ({ shell })));
  await Promise.all(tasks.map((task) => bench.start(task)));
  for (const [index, task] of tasks.entries()) {
    await bench.claimant(task, 'command');
    await bench.kill(task, ...victims[index]!);
  }
  const running = await bench.looks(tasks.slice(0, 4));
  expect(running.map(({ state }) => state)).toEqual(['running', 'running', 'running', 'running']);
  expect(running[1].message).toBe('its supervisor is gone; it goes on');
  expect(running[2].message).toMatch(/both that watched it are gone/);
  bench.letGo();
  const seen = await Promise.all(tasks.map((task) => bench.ended(task)));
  for (const index of [0, 1])
    expect(seen[index]).toMatchObject({
      state: 'finished',
      result: { rc: 4, by: index === 0 ? 'supervisor' : 'ansible' },
    });
  for (const index of [2, 3])
    expect(seen[index]).toMatchObject({ state: 'gone', kind: 'orphaned', job_id: expect.any(String) as string });
  // What a look has found stays so on record.
  for (const [index, verdict] of [[2, 'orphaned'] as const, [3, 'lost'] as const]) {
    await bench.end(tasks[index]!, verdict);
    const recorded = resultOfFinished(await bench.look(tasks[index]!));
    expect(recorded.failure).toEqual({ kind: verdict, message: 'asked to' });
  }
  expect(seen[4]).toMatchObject({ state: 'finished', result: { rc: null, signal: 9 } });
  for (const task of tasks.slice(0, 4)) {
    await bench.allGone(task);
    expect(readFileSync(path.join(task.dir, 'stdout'), 'utf8')).toBe('before\nafter\n');
  }
});

test('kill -9 of a module: it was killed, and what it had started is ended; of its supervisor too: it is orphaned', async () => {
  await using bench = await TaskBench.open();
  const text = `#!${bench.python}\nimport subprocess\nsubprocess.call(['sh', '-c', '${bench.note('up')}; ${bench.untilLetGo}'])\n`;
  const [one, both] = [await bench.startModule(text), await bench.startModule(text)];
  await until('both', async () => (await bench.ledger()).length === 2);
  await bench.kill(both, 'supervisor', 'ansible');
  await bench.kill(one, 'ansible');
  expect(await bench.ended(one)).toMatchObject({ state: 'finished', result: { rc: null, signal: 9, module: null } });
  await bench.allGone(one);
  // What the module had started goes on: nobody calls that failed.
  expect(await bench.look(both)).toMatchObject({ state: 'running', supervised: false });
  bench.letGo();
  expect(await bench.ended(both)).toMatchObject({ state: 'gone', kind: 'orphaned' });
});

test('what a killed command leaves is ended, and not listed as left running', async () => {
  await using bench = await TaskBench.open();
  const task = await bench.startNew({ shell: `setsid sleep 600 >/dev/null 2>&1 & kill -9 $$` });
  expect(await bench.ended(task)).toMatchObject({ state: 'finished', result: { signal: 9, leftovers: [] } });
  await bench.allGone(task);
});

test('what a command prints is readable while it runs, from any offset on, and no more than is asked for', async () => {
  await using bench = await TaskBench.open();
  const task = await bench.startNew({ shell: `printf 0123456789; ${bench.untilLetGo}; printf end` });
  await until('its output', async () => (await bench.look(task, { stdout: 0 })).stdout.size === 10);
  const part = async (asked: object, total?: number) => {
    const jobs = [{ dir: task.dir, marker: task.marker, ...asked }];
    const { stdout } = (await bench.call('longhaul_look', { jobs, ...(total === undefined ? {} : { total }) })).jobs[0];
    return [stdout.size, stdout.from, Buffer.from(stdout.data, 'base64').toString()];
  };
  expect(await part({ stdout: 4, chunk: 3 })).toEqual([10, 4, '456']);
  expect(await part({ stdout: 4, chunk: 100 }, 2)).toEqual([10, 4, '45']);
  expect(await part({ stdout: 99, chunk: 100 })).toEqual([10, 10, '']);
  bench.letGo();
  await bench.ended(task);
  expect(await part({ stdout: 10, chunk: 100 })).toEqual([13, 10, 'end']);
});

test('with a copier that was killed it is not said how much was printed, for some may be missing', async () => {
  await using bench = await TaskBench.open();
  const task = await bench.startNew({ shell: `echo before; ${bench.untilLetGo}; echo after` });
  const { supervisor, ansible } = bench.record(task, 'claim.1');
  const watching = () => bench.members(task).filter(({ command }) => command.includes('async_wrapper'));
  const copier = watching().find(({ pid }) => ![supervisor.pid, ansible.pid].includes(pid))!.pid;
  await kill(copier);
  await until('another one', () => watching().filter(({ pid }) => pid !== copier).length === 3);
  bench.letGo();
  const { result } = await bench.ended(task);
  expect(result).toMatchObject({ rc: 0, stdout_bytes: null, storage: null });
});

test('a daemon that a command leaves behind holds nothing up, is listed, and lives on with its output dropped', async () => {
  await using bench = await TaskBench.open();
  const daemon = `while sleep 0.1; do echo noise; [ ! -e ${bench.goFile} ] || ${bench.note('lives')}; done`;
  const task = await bench.startNew({ shell: `setsid sh -c '${daemon}' & echo started` });
  const seen = await bench.ended(task);
  expect(seen).toMatchObject({ state: 'finished', result: { rc: 0, leftovers: expect.any(Array) as unknown[] } });
  expect(seen.result.leftovers.map(({ command }: { command: string }) => command)).toContainEqual(
    expect.stringContaining('noise'),
  );
  await until(
    'the end of its supervisor',
    () => !bench.members(task).some(({ pid }) => pid === bench.record(task, 'claim.1').supervisor.pid),
  );
  expect(await bench.clean(task)).toEqual({ cleaned: true, reason: null });
  bench.letGo();
  await bench.ledgerHas('lives');
});

test('50 MB of output are kept, and grow neither those that watch nor the answers', async () => {
  await using bench = await TaskBench.open();
  const line = 'x'.repeat(99);
  const task = await bench.startNew({ shell: `yes ${line} | head -c 50000000; ${bench.untilLetGo}` });
  await until(
    'all of its output',
    async () => (await bench.look(task, { stdout: 0, chunk: 10 })).stdout.size === 50_000_000,
  );
  const own = bench.members(task).filter(({ command }) => command.includes('async_wrapper'));
  expect(own).toHaveLength(3);
  for (const { pid } of own) expect(privateBytes(pid)).toBeLessThan(8_000_000);
  bench.letGo();
  const seen = await bench.ended(task);
  expect(seen).toMatchObject({
    result: { rc: 0, stdout_bytes: 50_000_000 },
    stdout: { size: 50_000_000, length: 65536 },
  });
  await bench.allGone(task);
  expect(bench.native(task, seen.job_id).stdout).toHaveLength(65535);
});

test('at its time limit all of a task is ended, to the second, also children that left it and ignore TERM', async () => {
  await using bench = await TaskBench.open();
  const stubborn = `trap "" TERM; ${bench.note('staying')}; while :; do sleep 0.2; done`;
  const task = await bench.startNew({ shell: `setsid sh -c '${stubborn}' & ${stubborn}`, timeout: 10, grace: 1 });
  const seen = await bench.ended(task);
  expect(seen).toMatchObject({
    state: 'finished',
    result: { rc: null, signal: 9, cause: 'timeout', failed: true, msg: 'Timeout exceeded' },
  });
  const cause = bench.record(task, 'cause.json').at - seen.started_at;
  expect(cause).toBeGreaterThanOrEqual(10);
  expect(cause).toBeLessThan(20);
  await bench.allGone(task);
  expect(await bench.ledger()).toEqual(['staying', 'staying']);
});

function privateBytes(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return 1024 * Number(/^Private_Dirty:\s+(\d+)/m.exec(rollup)?.[1]);
}
