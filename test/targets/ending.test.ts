import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../ansible/bench.js';
import { signal } from '../service/processes.js';
import { asNobody, canSetUid, hiding, isRoot, kill, run, setUid, TaskBench, type Task, type Work } from './bench.js';

const nothing = { left: [], unknown: null };

test('an end takes the whole tree, also children in sessions of their own that ignore TERM', async () => {
  await using bench = await TaskBench.open();
  const task = await bench.startNew(stubborn(bench));
  await until('all three', async () => (await bench.ledger()).length === 3);
  expect(bench.members(task).length).toBeGreaterThanOrEqual(6); // S, A, the copier, the shell and its two
  expect(await bench.end(task, 'cancel', 20)).toEqual(nothing);
  expect(bench.members(task)).toEqual([]);
  const seen = await bench.ended(task);
  expect(seen).toMatchObject({
    state: 'finished',
    result: { rc: null, signal: 9, cause: 'cancel', msg: 'ended: cancel' },
  });
  expect(bench.native(task, seen.job_id)).toMatchObject({ failed: true, rc: -9, msg: 'ended: cancel' });
  expect(await bench.end(task)).toEqual(nothing);
});

test('an end needs none of those that watch: with S, A or both killed it takes the tree and says why', async () => {
  await using bench = await TaskBench.open();
  const victims = [['supervisor'], ['ansible'], ['supervisor', 'ansible']] as const;
  const tasks = await bench.prepareAll(victims.map(() => stubborn(bench)));
  await Promise.all(tasks.map((task) => bench.start(task)));
  await until('all nine', async () => (await bench.ledger()).length === 9);
  for (const [index, task] of tasks.entries()) await bench.kill(task, ...victims[index]!);
  const jobs = tasks.map(({ dir, marker }) => ({ dir, marker, cause: 'terminated', reason: 'swept', grace: 0.5 }));
  expect((await bench.call('longhaul_end', { jobs })).jobs).toEqual([nothing, nothing, nothing]);
  for (const task of tasks) {
    expect(bench.members(task)).toEqual([]);
    const seen = await bench.look(task);
    expect(seen).toMatchObject({ state: 'finished', result: { cause: 'terminated' } });
    expect(bench.native(task, seen.job_id)).toMatchObject({ failed: true });
  }
});

test('an end takes a program whose main thread has ended while others run, with S and A or without', async () => {
  await using bench = await TaskBench.open();
  const left = `import ctypes, os, threading, time
def stay():
    os.system(${JSON.stringify(bench.note('up'))})
    time.sleep(600)
threading.Thread(target=stay).start()
ctypes.CDLL(None).pthread_exit(None)`;
  const tasks = await bench.prepareAll([1, 2].map(() => ({ argv: [bench.python, '-c', left] })));
  for (const task of tasks) await bench.start(task);
  await until('both', async () => (await bench.ledger()).length === 2);
  const [watched, alone] = await Promise.all(tasks.map((task) => bench.claimant(task, 'command')));
  await bench.kill(tasks[1]!, 'supervisor', 'ansible');
  expect(await bench.look(tasks[1]!)).toMatchObject({ state: 'running', supervised: false });
  for (const task of tasks) expect(await bench.end(task)).toEqual(nothing);
  for (const pid of [watched, alone]) expect(threadsOf(pid!)).toEqual([]);
});

test('an end goes on where a supervisor was killed: what it had seen is known, though it has cut all ties', async () => {
  await using bench = await TaskBench.open();
  const pidFile = path.join(bench.folder, 'apart');
  const apart = `echo $$ > ${pidFile}; trap "" TERM; while :; do sleep 1; done`;
  const shell = `env -i setsid /bin/sh -c '${apart}' >/dev/null 2>&1 & exec sleep 600`;
  const task = await bench.startNew({ shell, timeout: 2, grace: 60 });
  await until('its result', () => bench.record(task, 'result.json') !== undefined);
  const child = Number(readFileSync(pidFile, 'utf8'));
  try {
    expect(commandOf(child)).not.toBe('');
    await bench.kill(task, 'supervisor');
    expect(await bench.end(task, 'lost')).toEqual(nothing);
    expect(commandOf(child)).toBe('');
  } finally {
    signal(child, 'SIGKILL');
  }
});

test('an end takes a command that hides its environment, also if S and A were killed', async () => {
  await using bench = await TaskBench.open();
  const task = await bench.startNew({ shell: 'exec env -i sleep 600' });
  const command = await bench.claimant(task, 'command');
  try {
    await until('its sleep', () => commandOf(command).startsWith('sleep'));
    await bench.kill(task, 'ansible');
    await until('A to be reaped', async () => !existsSync(`/proc/${await bench.claimant(task, 'ansible')}`));
    await bench.kill(task, 'supervisor');
    expect(await bench.look(task)).toMatchObject({ state: 'running', supervised: false });
    expect(await bench.end(task)).toEqual(nothing);
    expect(commandOf(command)).toBe('');
  } finally {
    signal(command, 'SIGKILL');
  }
});

test.for([
  ['pidfd_open', 434],
  ['pidfd_send_signal', 424],
] as const)('an end kills also where a filter of system calls refuses %s', async ([, number]) => {
  await using bench = await TaskBench.open();
  const task = await bench.startNew(stubborn(bench));
  await until('all three', async () => (await bench.ledger()).length === 3);
  await bench.kill(task, 'supervisor');
  const jobs = [{ dir: task.dir, marker: task.marker, cause: 'cancel', reason: '', grace: 0.5 }];
  const filtered = [bench.python, '-c', withoutCall, String(number)];
  expect((await bench.call('longhaul_end', { jobs }, filtered)).jobs).toEqual([nothing]);
  expect(bench.members(task)).toEqual([]);
});

test.skipIf(!isRoot || !canSetUid())(
  'an end waits for what runs as somebody else where /proc hides that, and names it (skipped: needs root, and setuid in /tmp)',
  async () => {
    await using bench = await TaskBench.open();
    const asRoot = [path.join(bench.folder, 'sudo'), '--reuid=0', '--clear-groups', 'sleep', '600'];
    const within = { shell: `${asRoot.join(' ')}; :`, grace: 0.5 };
    const tasks = await bench.prepareAll([within, within, within, { argv: asRoot, grace: 0.5 }]);
    await run('chown', ['-R', '65534', bench.folder]);
    setUid(bench.folder);
    const blind = [...hiding, ...asNobody];
    for (const task of tasks) {
      const { command, env } = bench.startLine(task);
      await bench.run([...blind, ...command], env);
    }
    const theirs = (task: Task) => bench.members(task).filter(({ command }) => command === 'sleep 600');
    await until('what runs as root', () => tasks.every((task) => theirs(task).length === 1));
    const pids = tasks.map((task) => theirs(task)[0]!.pid);
    const [watched, stopped, alone, unwatched] = tasks;
    signal(await bench.claimant(stopped!, 'supervisor'), 'SIGSTOP');
    await bench.kill(alone!, 'supervisor');
    await bench.kill(unwatched!, 'supervisor', 'ansible');
    const end = async () => {
      const jobs = tasks.map(({ dir, marker }) => ({ dir, marker, cause: 'cancel', reason: '', grace: 0.5 }));
      return (await bench.call('longhaul_end', { jobs }, blind)).jobs;
    };
    const named = pids.map((pid) => ({ unknown: expect.stringMatching(`\\bpid ${pid}\\b`) as string }));
    expect(await end()).toMatchObject(named);
    // Who alone knew of it dies too.
    await bench.kill(stopped!, 'supervisor');
    expect(await end()).toMatchObject(named);
    for (const task of [watched, alone]) expect(await bench.look(task!, {}, blind)).toMatchObject({ state: 'running' });
    await kill(...pids);
    await until('their end', async () => JSON.stringify(await end()) === JSON.stringify(tasks.map(() => nothing)));
    for (const task of tasks) {
      expect(bench.members(task)).toEqual([]);
      expect(await bench.look(task, {}, blind)).toMatchObject({ state: 'finished', result: { cause: 'cancel' } });
    }
  },
);

test('an end takes a supervisor that is stopped (where /proc hides others too: needs root)', async () => {
  await using bench = await TaskBench.open();
  const task = await bench.prepare(stubborn(bench));
  if (isRoot) await run('chown', ['-R', '65534', bench.folder]);
  const blind = isRoot ? [...hiding, ...asNobody] : [];
  const { command, env } = bench.startLine(task);
  await bench.run([...blind, ...command], env);
  await until('all three', async () => (await bench.ledger()).length === 3);
  signal(await bench.claimant(task, 'supervisor'), 'SIGSTOP');
  const jobs = [{ dir: task.dir, marker: task.marker, cause: 'cancel', reason: '', grace: 0.5 }];
  expect((await bench.call('longhaul_end', { jobs }, blind)).jobs).toEqual([nothing]);
  expect(bench.members(task)).toEqual([]);
});

test('with its time over it is running for as long as anything of it is', async () => {
  await using bench = await TaskBench.open();
  const child = `trap "" TERM; ${bench.note('up')}; while :; do sleep 0.2; done`;
  const task = await bench.startNew({
    shell: `setsid sh -c '${child}' >/dev/null 2>&1 & exec sleep 600`,
    timeout: 5,
    grace: 10,
  });
  await bench.ledgerHas('up');
  let cut = 0;
  await until('its end', async () => {
    const look = await bench.look(task);
    if (look.state === 'finished') return true;
    expect(look.state).toBe('running');
    if (look.message?.startsWith('it has ended') === true) cut += 1;
    return false;
  });
  await bench.allGone(task);
  expect(await bench.look(task)).toMatchObject({ result: { cause: 'timeout' } });
  expect(cut).toBeGreaterThan(0);
});

test('what obeys TERM ends with its own rc, and is canceled all the same', async () => {
  await using bench = await TaskBench.open();
  const task = await bench.startNew({
    shell: `trap '${bench.note('tidied')}; exit 7' TERM; ${bench.note('up')}; while :; do sleep 0.1; done`,
    grace: 20,
  });
  await bench.ledgerHas('up');
  expect(await bench.end(task, 'cancel', 20)).toEqual(nothing);
  expect(await bench.ended(task)).toMatchObject({ result: { rc: 7, signal: null, cause: 'cancel', failed: true } });
  expect(await bench.ledger()).toEqual(['up', 'tidied']);
});

test('an end before the start is final: nothing starts any more, and the start is told why', async () => {
  await using bench = await TaskBench.open();
  const task = await bench.prepare({ shell: bench.note('ran') });
  expect(await bench.end(task)).toEqual(nothing);
  expect(await bench.start(task)).toMatchObject({
    failed: true,
    longhaul: { claim: 'void', cause: 'cancel', reason: 'asked to' },
  });
  expect(await bench.look(task)).toEqual({ state: 'void', cause: 'cancel', reason: 'asked to' });
  expect(await bench.ledger()).toEqual([]);
});

test('an end because a start failed leaves alone what another start runs, and its async file', async () => {
  await using bench = await TaskBench.open();
  const task = await bench.startNew({ shell: `${bench.untilLetGo}; echo done` });
  const { job_id } = await bench.look(task);
  expect(await bench.end(task, 'launch')).toEqual(nothing);
  expect(bench.native(task, job_id)).toEqual({ started: true, finished: false, ansible_job_id: job_id });
  bench.letGo();
  expect(await bench.ended(task)).toMatchObject({ state: 'finished', result: { rc: 0, cause: null } });
  expect(bench.native(task, job_id)).toMatchObject({ rc: 0, stdout: 'done' });
});

test('starts and ends that race leave a task that either ran and was ended, or never began', async () => {
  await using bench = await TaskBench.open();
  const tasks = await bench.prepareAll(
    Array.from({ length: 5 }, () => ({ shell: `${bench.note('ran')}; exec sleep 600` })),
  );
  // An end takes a wrapper that it finds starting, too: then Ansible is told nothing.
  const start = (task: Task) => bench.start(task).catch(() => undefined);
  await Promise.all(tasks.flatMap((task) => [start(task), bench.end(task, 'cancel', 0.5), start(task)]));
  for (const task of tasks) {
    // A start that came too late says so before its supervisor has left.
    await bench.allGone(task);
    const seen = await bench.look(task);
    if (seen.state === 'finished') expect(seen.result.cause, await bench.contents(task)).toBe('cancel');
    else expect(seen, await bench.contents(task)).toMatchObject({ state: 'void', cause: 'cancel' });
  }
});

test('an end after a natural end changes nothing: what was left running on purpose lives on', async () => {
  await using bench = await TaskBench.open();
  const task = await bench.startNew({ shell: 'setsid sleep 600 >/dev/null 2>&1 & exit 0' });
  await bench.ended(task);
  const left = () => bench.members(task).map(({ command }) => command);
  await until('nothing but what it left', () => JSON.stringify(left()) === '["sleep 600"]');
  expect(await bench.end(task)).toEqual(nothing);
  expect(left()).toEqual(['sleep 600']);
  expect(await bench.ended(task)).toMatchObject({ result: { rc: 0, cause: null } });
});

test('an end takes a module with all that it started, and says so whatever it answers', async () => {
  await using bench = await TaskBench.open();
  const text = `#!${bench.python}\nimport subprocess\nsubprocess.call(['setsid', '-w', 'sh', '-c', '${bench.note('up')}; sleep 600'])\nprint('{"rc": 0}')\n`;
  const task = await bench.startModule(text);
  await bench.ledgerHas('up');
  expect(await bench.end(task)).toEqual(nothing);
  expect(bench.members(task)).toEqual([]);
  expect(await bench.ended(task)).toMatchObject({ state: 'finished', result: { cause: 'cancel', failed: true } });
});

test('a module that had answered before its end has finished, and keeps its daemon, also when nobody had recorded that', async () => {
  await using bench = await TaskBench.open();
  const { task, hasAnswered } = await unwatchedModule(bench);
  bench.letGo();
  await hasAnswered();
  expect(await bench.end(task)).toEqual(nothing);
  expect(bench.members(task)).not.toEqual([]);
  expect(await bench.look(task)).toMatchObject({ state: 'finished', result: { rc: 0, cause: null } });
});

test('a module that answers because it is ended runs until its daemon has ended too', async () => {
  await using bench = await TaskBench.open();
  const { task, hasAnswered, endDaemon } = await unwatchedModule(bench);
  const ending = bench.end(task, 'cancel', 60);
  await hasAnswered();
  expect(await bench.look(task)).toMatchObject({ state: 'running' });
  endDaemon();
  expect(await ending).toEqual(nothing);
  expect(bench.members(task)).toEqual([]);
  expect(await bench.look(task)).toMatchObject({ state: 'finished', result: { cause: 'cancel' } });
});

test('an end whose folder is gone ends all the same', async () => {
  await using bench = await TaskBench.open();
  const task = await bench.startNew(stubborn(bench));
  await until('all three', async () => (await bench.ledger()).length === 3);
  rmSync(task.dir, { recursive: true });
  expect(await bench.end(task)).toMatchObject(nothing);
  expect(bench.members(task)).toEqual([]);
});

test('an end touches nothing that it can be talked into: others’ markers, causes and folders are refused', async () => {
  await using bench = await TaskBench.open();
  const task = await bench.startNew({ shell: 'exec sleep 600' });
  const refused = { left: [], unknown: expect.any(String) as string };
  const asked = { dir: task.dir, marker: task.marker, cause: 'cancel', reason: '', grace: 0 };
  const jobs = [
    { ...asked, marker: 'LONGHAUL_ATTEMPT=1/1' },
    { ...asked, cause: 'whim' },
    { ...asked, dir: '/tmp' },
    { ...asked, dir: `${task.dir}/.` },
  ];
  expect((await bench.call('longhaul_end', { jobs })).jobs).toEqual(jobs.map(() => refused));
  expect(await bench.look(task)).toMatchObject({ state: 'running' });
});

/** Three that ignore TERM: the command, a child, and one in a session of its own. */
function stubborn(bench: TaskBench): Work {
  const one = `trap "" TERM; ${bench.note('up')}; while :; do sleep 0.2; done`;
  return { shell: `sh -c '${one}' & setsid sh -c '${one}' & ${one}`, grace: 0.5 };
}

/** Without a supervisor, with a daemon that ignores TERM; it answers when it is let go, or told to end. */
async function unwatchedModule(bench: TaskBench) {
  const over = path.join(bench.folder, 'over');
  const daemon = `trap "" TERM; ${bench.note('up')}; until [ -e ${over} ]; do sleep 0.2; done`;
  const text = `#!${bench.python}
import os, signal, subprocess, time
signal.signal(signal.SIGTERM, lambda *_: open('${bench.goFile}', 'w'))
subprocess.Popen(['sh', '-c', '${daemon}'], start_new_session=True, stdout=subprocess.DEVNULL)
while not os.path.exists('${bench.goFile}'): time.sleep(0.1)
print('{"changed": true}')
`;
  const task = await bench.startModule(text);
  await bench.ledgerHas('up');
  await bench.kill(task, 'supervisor');
  const module = await bench.claimant(task, 'ansible');
  const hasAnswered = () => until('its answer', () => bench.members(task).every(({ pid }) => pid !== module));
  return { task, hasAnswered, endDaemon: () => writeFileSync(over, '') };
}

/** A program that executes the rest of its arguments with the system call of this number refused by EPERM, by seccomp. */
const withoutCall = `import ctypes, os, struct, sys
NO_NEW_PRIVS, SECCOMP, FILTER = 38, 22, 2
LOAD, EQUALS, RETURN, EPERM, ALLOW = 0x20, 0x15, 0x06, 0x00050001, 0x7fff0000
lines = [(LOAD, 0, 0, 0), (EQUALS, 0, 1, int(sys.argv[1])), (RETURN, 0, 0, EPERM), (RETURN, 0, 0, ALLOW)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
program = ctypes.create_string_buffer(struct.pack("HP", len(lines), ctypes.addressof(code)))
prctl = ctypes.CDLL(None).prctl
assert prctl(NO_NEW_PRIVS, 1, 0, 0, 0) == 0 and prctl(SECCOMP, FILTER, program, 0, 0) == 0
os.execvp(sys.argv[2], sys.argv[2:])`;

/** All its threads that run, also when its first one has ended. */
function threadsOf(pid: number): string[] {
  return existsSync(`/proc/${pid}/task`) ? readdirSync(`/proc/${pid}/task`).filter((id) => id !== String(pid)) : [];
}

/** Its command line; empty once it is gone. */
function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
