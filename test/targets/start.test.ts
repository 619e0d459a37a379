import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../service/processes.js';
import { TaskBench } from './bench.js';

test('a task that is started many times at once runs once, and all are told the one job', async () => {
  await using bench = await TaskBench.open();
  const task = await bench.prepare({ shell: `${bench.note('ran')}; sleep 1` });
  const answers = await Promise.all(Array.from({ length: 12 }, () => bench.start(task)));
  const jobs = new Set(answers.map(({ ansible_job_id }) => ansible_job_id));
  expect(answers.filter(({ failed }) => failed)).toEqual([]);
  expect(answers.filter(({ longhaul }) => longhaul.claim === 'taken')).toHaveLength(1);
  expect([...jobs]).toEqual([expect.stringMatching(/^j\d+\.\d+$/)]);
  const seen = await bench.ended(task);
  expect(seen).toMatchObject({ state: 'finished', job_id: [...jobs][0], result: { rc: 0, failed: false } });
  expect(await bench.start(task)).toMatchObject({ failed: false, ansible_job_id: seen.job_id });
  await bench.allGone(task);
  expect(await bench.clean(task)).toEqual({ cleaned: true, reason: null });
  expect(await bench.start(task)).toMatchObject({ failed: false, ansible_job_id: seen.job_id });
  expect(await bench.ledger()).toEqual(['ran']);
});

test('a task is prepared once: who comes later is given the token that holds', async () => {
  await using bench = await TaskBench.open();
  const job = bench.job({ argv: ['true'] });
  const prepare = (token: string) => bench.call('longhaul_prepare', { jobs: [{ ...job, token }], base: bench.base });
  const answers = await Promise.all(['one', 'two', 'three', 'four'].map(prepare));
  expect(new Set(answers.map(({ jobs }) => JSON.stringify(jobs))).size).toBe(1);
  const { token, dir, boot } = answers[0].jobs[0];
  expect({ boot, dir }).toEqual({ boot: answers[0].boot, dir: path.join(bench.base, job.id) });
  const task = { ...job, token, dir, work: {} };
  expect(await bench.look(task)).toEqual({ state: 'ready' });
  expect(await bench.start(task)).toMatchObject({ failed: false });
  expect((await prepare('five')).jobs[0]).toMatchObject({ token, dir });
});

test('nothing is started without a folder, its token, its marker and its plan, and the reason is told', async () => {
  await using bench = await TaskBench.open();
  const task = await bench.prepare({ shell: bench.note('ran') });
  const absent = { failed: true, longhaul: { claim: 'absent' } };
  expect(await bench.start(task, { LONGHAUL_TOKEN: undefined })).toMatchObject({
    ...absent,
    msg: expect.stringMatching(/no LONGHAUL_TOKEN/),
  });
  expect(await bench.start(task, { LONGHAUL_TOKEN: 'other' })).toMatchObject(absent);
  expect(await bench.start(task, { LONGHAUL_TASK: undefined })).toMatchObject({
    ...absent,
    msg: expect.stringMatching(/lacks LONGHAUL_TASK/),
  });
  expect(await bench.start(task, { ANSIBLE_ASYNC_DIR: bench.folder })).toMatchObject(absent);
  const elsewhere = path.join(bench.base, '0'.repeat(32));
  expect(await bench.start(task, { ANSIBLE_ASYNC_DIR: elsewhere })).toMatchObject({
    ...absent,
    msg: expect.stringMatching(/nothing was prepared/),
  });
  expect(await bench.start(task, {}, ['/bin/true', '_'])).toMatchObject({
    ...absent,
    msg: expect.stringMatching(/not what was prepared/),
  });
  for (const argv of [['what', 'is', 'this'], [], ['/m.py', '_', 'more', 'and more']])
    expect(await bench.start(task, {}, argv)).toMatchObject({
      failed: true,
      msg: expect.stringMatching(/not known here/),
      longhaul: { claim: 'failed', kind: 'launch' },
    });
  writeFileSync(path.join(task.dir, 'plan.json'), '{"id":');
  expect(await bench.start(task)).toMatchObject({ ...absent, msg: expect.stringMatching(/plan .* can't be read/) });
  rmSync(task.dir, { recursive: true });
  expect(await bench.start(task)).toMatchObject({ ...absent, msg: expect.stringMatching(/nothing was prepared/) });
  expect(existsSync(task.dir)).toBe(false);
  expect(await bench.ledger()).toEqual([]);
});

test('both ways in which versions of Ansible call the wrapper start a module and a command', async () => {
  await using bench = await TaskBench.open();
  const module = `print('{"changed": true, "argv": ' + __import__("json").dumps(__import__("sys").argv[1:]) + '}')`;
  const script = path.join(bench.folder, 'AnsiballZ_some_module.py');
  writeFileSync(script, `#!${bench.python}\n${module}\n`);
  const calls = [
    [script, 'args'],
    [script, 'args', '-preserve_tmp'],
    ['true', script, bench.python, script, 'args'],
    ['false', script, bench.python, script, 'args'],
  ];
  for (const call of calls) {
    const task = await bench.prepare(null);
    expect(await bench.start(task, {}, call)).toMatchObject({ failed: false });
    expect(await bench.ended(task)).toMatchObject({ result: { rc: 0, changed: true, module: { argv: ['args'] } } });
  }
  const command = '/some/AnsiballZ_longhaul_command.py';
  for (const call of [
    [command, '_'],
    ['false', command, bench.python, command],
  ]) {
    const task = await bench.prepare({ argv: ['echo', 'here'] });
    expect(await bench.start(task, {}, call)).toMatchObject({ failed: false });
    expect(await bench.ended(task)).toMatchObject({ result: { rc: 0, stdout_bytes: 5 } });
  }
});

test('commands are started by one call, each once, with its own marker, and the others if one can not be', async () => {
  await using bench = await TaskBench.open();
  const report = `echo "$LONGHAUL_TASK \${LONGHAUL_TOKEN-none} \${ANSIBLE_ASYNC_DIR-none}" >> ${bench.ledgerFile}`;
  const [first, second, module, third] = await bench.prepareAll([
    { shell: report },
    { shell: `${report}; ${bench.untilLetGo}` },
    null,
    { shell: report, timeout: 60 },
  ]);
  const all = [first!, { ...second!, token: 'other' }, second!, module!, { ...first!, dir: '/no/such' }, third!];
  const answers = await bench.launch(all);
  expect(answers.map(({ failed, longhaul }) => [failed, longhaul.claim])).toEqual([
    [false, 'taken'],
    [true, 'absent'],
    [false, 'taken'],
    [true, 'absent'],
    [true, 'absent'],
    [false, 'taken'],
  ]);
  await until('all to have begun', async () => (await bench.ledger()).length === 3);
  const again = await Promise.all([bench.launch([first!, second!, third!]), bench.start(second!)]);
  const jobIds = [answers[0], answers[2], answers[5]].map((answer) => answer!.ansible_job_id);
  expect(again[0].map(({ failed, ansible_job_id }) => [failed, ansible_job_id])).toEqual(
    jobIds.map((id) => [false, id]),
  );
  expect(again[1].ansible_job_id).toBe(jobIds[1]);
  expect(bench.members(second!).map(({ pid }) => pid)).toContain(await bench.claimant(second!, 'supervisor'));
  expect(bench.native(second!, jobIds[1]!)).toMatchObject({ started: true, finished: false });
  bench.letGo();
  for (const task of [first!, second!, third!])
    expect(await bench.ended(task)).toMatchObject({ state: 'finished', result: { rc: 0 } });
  expect((await bench.ledger()).sort()).toEqual([first!, second!, third!].map(({ id }) => `${id} none none`).sort());
});

test("Ansible's folder for the module is removed at the end, or at once if nothing was started", async () => {
  await using bench = await TaskBench.open();
  const text = `#!${bench.python}\nprint('{}')\n`;
  const task = await bench.startModule(text);
  const folder = path.join(bench.folder, `ansible-tmp-${task.id}`);
  await bench.allGone(task);
  expect(existsSync(folder)).toBe(false);
  const other = path.join(bench.folder, 'ansible-tmp-of-a-later-start');
  mkdirSync(other);
  writeFileSync(path.join(other, 'AnsiballZ_some_module.py'), text);
  expect(await bench.start(task, {}, [path.join(other, 'AnsiballZ_some_module.py'), '_'])).toMatchObject({
    failed: false,
  });
  expect(existsSync(other)).toBe(false);
});
