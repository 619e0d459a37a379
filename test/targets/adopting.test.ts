import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config.js';
import { until } from '../ansible/bench.js';
import { livingProcesses } from '../service/processes.js';
import { asNobody, hiding, isRoot, kill, run, TaskBench } from './bench.js';

/** Jobs that Ansible's own wrapper started, without us. */
test('an adopted job is looked at until it has its result', async () => {
  await using bench = await StockBench.open();
  const [good, bad] = [await bench.start(`${bench.bench.untilLetGo}; echo said`), await bench.start('kill -TERM $$')];
  await bench.begun(good);
  const running = await bench.look(good);
  expect(running).toMatchObject({ state: 'running', supervised: true, message: null, job_id: good });
  expect(Math.abs(running.started_at! - Date.now() / 1000)).toBeLessThan(3600);
  await until('its end', async () => (await bench.look(bad)).state === 'finished');
  expect(await bench.look(bad)).toMatchObject({ result: { rc: null, signal: 15, failed: true, by: 'native' } });
  const elsewhere = path.join(bench.asyncDir, 'elsewhere');
  renameSync(path.join(bench.asyncDir, good), elsewhere);
  const misplaced = { state: 'running', message: expect.stringContaining('is its async_dir another one?') };
  expect(await bench.look(good)).toMatchObject(misplaced);
  renameSync(elsewhere, path.join(bench.asyncDir, good));
  bench.bench.letGo();
  await until('its end', async () => (await bench.look(good)).state === 'finished');
  expect(await bench.look(good)).toMatchObject({
    result: { rc: 0, failed: false, changed: true, module: { stdout: 'said' } },
  });
  expect(readdirSync(bench.asyncDir).sort()).toEqual([good, bad].sort());
});

test('a module without an answer has no rc; Ansible’s wrappers tell that in several ways', async () => {
  await using bench = await StockBench.open();
  const rcOf = async (content: object) => {
    writeFileSync(path.join(bench.asyncDir, 'j1.1'), JSON.stringify(content));
    return (await bench.look('j1.1')).result.rc;
  };
  const unanswered = { cmd: 'x', msg: 'No start of json char found', stderr: '', ansible_job_id: 'j1.1' };
  expect(await rcOf({ ...unanswered, failed: true, data: 'Traceback' })).toBeNull();
  expect(await rcOf({ ...unanswered, failed: 1, outdata: '' })).toBeNull();
  expect(await rcOf({ ...unanswered, failed: true, data: 'its own', rc: 2 })).toBe(2);
  expect(await rcOf({ failed: true, cmd: 'x', data: 'its own', msg: 'no' })).toBe(1);
});

test('what an adopted job printed is brought part by part; what says no output is shown as it is', async () => {
  await using bench = await StockBench.open();
  const part = (text: string, from: number, size: number) => ({ size, from, length: text.length, data: btoa(text) });
  writeFileSync(path.join(bench.asyncDir, 'j1.1'), '{"rc": 0, "stdout": "one\\ntwo", "stderr": "", "invocation": {}}');
  expect(await bench.look('j1.1', { stdout: 0, stderr: 0, chunk: 4 })).toMatchObject({
    stdout: part('one\n', 0, 7),
    stderr: part('', 0, 0),
  });
  expect(await bench.look('j1.1', { stdout: 4, stderr: 0, chunk: 4 })).toMatchObject({ stdout: part('two', 4, 7) });
  writeFileSync(path.join(bench.asyncDir, 'j2.2'), '{"changed": false, "ping": "pong", "invocation": {}}');
  const told = '{\n    "changed": false,\n    "ping": "pong"\n}\n';
  expect(await bench.look('j2.2', { stdout: 0, stderr: 0 })).toMatchObject({ stdout: part(told, 0, told.length) });
});

test('what is left of an adopted job is told apart: detached, orphaned, lost, unreadable', async () => {
  await using bench = await StockBench.open();
  const [detached, other] = [
    await bench.startNear(`${bench.bench.untilLetGo}; exit 1`),
    await bench.start('sleep 600'),
  ];
  await bench.begun(other);
  await kill(...(await bench.wrappers(detached)));
  expect(await bench.look(detached)).toMatchObject({
    state: 'running',
    supervised: false,
    message: expect.stringMatching(/^detached/),
  });
  bench.bench.letGo();
  await until('its end', async () => (await bench.look(detached)).state !== 'running');
  expect(await bench.look(detached)).toMatchObject({
    state: 'gone',
    kind: 'orphaned',
    why: expect.stringMatching(/says that it runs/),
  });
  expect(await bench.look(other)).toMatchObject({ state: 'running' });
  for (const [text, why] of [
    ['', /can't be read/],
    ['{"rc":', /can't be read/],
    ['{"started": 1, "finished": 0}', /says that it runs/],
  ] as const) {
    writeFileSync(path.join(bench.asyncDir, 'j1.1'), text);
    expect(await bench.look('j1.1')).toMatchObject({
      state: 'gone',
      kind: 'orphaned',
      why: expect.stringMatching(why),
    });
  }
  expect(await bench.look('j2.2')).toMatchObject({
    state: 'gone',
    kind: 'lost',
    why: `could not find job: there is no ${path.join(bench.asyncDir, 'j2.2')} (is its async_dir another one?), and nothing of it runs`,
  });
  for (const name of ['../j2.2', '.', '', '/etc/passwd'])
    expect(await bench.look(name)).toMatchObject({ state: 'absent' });
});

test('what another job has left is not taken for an adopted one’s, nor ended with it', async () => {
  await using bench = await StockBench.open();
  const { first, second } = await bench.startClose();
  const left = await bench.members(first);
  const pidOf = (job: string): number => Number(job.split('.')[1]);
  for (const job of [first, second]) await kill(...(await bench.wrappers(job)));
  const end = async (job_id: string) => {
    const jobs = [{ adopt: { job_id, async_dir: bench.asyncDir }, grace: 0.5 }];
    return (await bench.bench.call('longhaul_end', { jobs })).jobs[0];
  };
  await kill(...left);
  const startedAt = (job: string, at: number): void => utimesSync(path.join(bench.asyncDir, job), at, at);
  const now = Date.now() / 1000;
  // As old as each other, nobody knows whose it is.
  for (const job of [first, second]) startedAt(job, now);
  const doubt = expect.stringMatching(/^unknown: what runs on may be of this job/) as string;
  expect(await bench.look(first)).toMatchObject({ state: 'running', unknown: true, message: doubt });
  expect(await end(first)).toEqual({ left: [], unknown: doubt });
  startedAt(first, now - 60);
  expect(await bench.look(first)).toMatchObject({ state: 'gone', kind: 'orphaned' });
  expect(await end(first)).toEqual({ left: [], unknown: null });
  expect(await bench.look(second)).toMatchObject({ state: 'running', supervised: false });
  // Of an older job of that pid there is nothing more.
  writeFileSync(path.join(bench.asyncDir, `j1.${pidOf(second)}`), '{"started": 1, "finished": 0}');
  startedAt(`j1.${pidOf(second)}`, now - 60);
  expect(await bench.look(second)).toMatchObject({ state: 'running', message: expect.stringMatching(/^detached/) });
  expect(await end(second)).toEqual({ left: [], unknown: null });
  expect(await bench.look(second)).toMatchObject({ state: 'gone', kind: 'orphaned' });
});

test.skipIf(!isRoot)(
  'an adopted job of somebody else is not called gone where it merely can’t be seen (skipped: needs root)',
  async () => {
    await using bench = await StockBench.open();
    const job = await bench.start('sleep 600');
    await bench.begun(job);
    const file = path.join(bench.asyncDir, job);
    await run('chmod', ['0755', bench.bench.folder, bench.asyncDir]);
    const adopt = { job_id: job, async_dir: bench.asyncDir };
    const blind = [...hiding, ...asNobody];
    const message = expect.stringMatching(/^unknown: \/proc hides/) as string;
    expect((await bench.bench.call('longhaul_look', { jobs: [{ adopt }] }, blind)).jobs).toMatchObject([
      { state: 'running', unknown: true, message },
    ]);
    expect((await bench.bench.call('longhaul_end', { jobs: [{ adopt, grace: 0 }] }, blind)).jobs).toEqual([
      { left: [], unknown: message },
    ]);
    await kill(...(await bench.members(job)));
    await run('chown', ['65534', file]);
    await run('chmod', ['0600', file]);
    const obedient = ['setpriv', '--bounding-set=-dac_override,-dac_read_search'];
    expect((await bench.bench.call('longhaul_look', { jobs: [{ adopt }] }, obedient)).jobs).toMatchObject([
      { state: 'running', unknown: true, message: expect.stringMatching(/Permission denied/) as string },
    ]);
  },
);

test.skipIf(!isRoot)(
  'what looks like its wrapper and is somebody else’s is not its (skipped: needs root)',
  async () => {
    await using bench = await StockBench.open();
    const job = await bench.start('sleep 600');
    await bench.begun(job);
    const [number = ''] = job.split('.');
    const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups'];
    const impostor = spawn('setpriv', [...asNobody, 'sh', '-c', 'sleep 600; :', 'async_wrapper.py', number, '_'], {
      detached: true,
      stdio: 'ignore',
    });
    try {
      await until('it to look so', () =>
        livingProcesses().some(({ pid, command }) => pid === impostor.pid && command.startsWith('sh -c')),
      );
      expect(await bench.wrappers(job)).toContain(impostor.pid);
      const jobs = [{ adopt: { job_id: job, async_dir: bench.asyncDir }, grace: 30 }];
      expect((await bench.bench.call('longhaul_end', { jobs })).jobs).toEqual([{ left: [], unknown: null }]);
      expect(await bench.look(job)).toMatchObject({ state: 'finished', result: { signal: 15 } });
      writeFileSync(path.join(bench.asyncDir, job), '{"started": 1, "finished": 0}');
      expect(await bench.look(job)).toMatchObject({ state: 'gone', kind: 'orphaned' });
    } finally {
      process.kill(-impostor.pid!, 'SIGKILL');
    }
  },
);

test('an adopted job is ended with all that it started, and its wrapper still tells how; others are left alone', async () => {
  await using bench = await StockBench.open();
  const stubborn = `trap "" TERM; ${bench.bench.note('deaf')}; : ${bench.asyncDir}; while :; do sleep 0.2; done`;
  const [obeying, ignoring, other] = [
    await bench.start('exec sleep 600'),
    await bench.start(`setsid sh -c '${stubborn}' & ${stubborn}`),
    await bench.start('exec sleep 600'),
  ];
  for (const job of [obeying, ignoring, other]) await bench.begun(job);
  await until('both to ignore signals', async () => (await bench.bench.ledger()).length === 2);
  const toEnd = (job_id: string, grace: number) => ({ adopt: { job_id, async_dir: bench.asyncDir }, grace });
  const jobs = [toEnd(obeying, 30), toEnd(ignoring, 2)];
  const nothing = { left: [], unknown: null };
  expect((await bench.bench.call('longhaul_end', { jobs })).jobs).toEqual([nothing, nothing]);
  expect(await bench.look(obeying)).toMatchObject({ state: 'finished', result: { signal: 15 } });
  expect(await bench.look(ignoring)).toMatchObject({ state: 'gone', kind: 'orphaned' });
  expect(await bench.look(other)).toMatchObject({ state: 'running', supervised: true });
  expect(livingProcesses().filter(({ command }) => command.includes(`: ${bench.asyncDir};`))).toEqual([]);
});

test('an end takes a module, too, that goes on with further commands, and lets the wrapper tell', async () => {
  await using bench = await StockBench.open();
  const job = await bench.start('exec sleep 600', 1000);
  await bench.begun(job);
  const jobs = [{ adopt: { job_id: job, async_dir: bench.asyncDir }, grace: 15 }];
  expect((await bench.bench.call('longhaul_end', { jobs })).jobs).toEqual([{ left: [], unknown: null }]);
  expect(await bench.look(job)).toMatchObject({ state: 'finished', result: { rc: null, signal: null, failed: true } });
});

test('of what its pids tell less surely it is not said that it is gone, and it is not ended', async () => {
  await using bench = await StockBench.open();
  const job = await bench.startNear('sleep 600');
  const left = await bench.members(job);
  await kill(...(await bench.wrappers(job)));
  const [number, launcher] = job.split('.');
  const farther = `${number}.${Number(launcher) - 100}`;
  renameSync(path.join(bench.asyncDir, job), path.join(bench.asyncDir, farther));
  const doubt = expect.stringMatching(/^unknown: what runs on may be of this job/) as string;
  expect(await bench.look(farther)).toMatchObject({ state: 'running', unknown: true, message: doubt });
  const jobs = [{ adopt: { job_id: farther, async_dir: bench.asyncDir }, grace: 0 }];
  expect((await bench.bench.call('longhaul_end', { jobs })).jobs).toEqual([{ left: [], unknown: doubt }]);
  await kill(...left);
  expect(await bench.look(farther)).toMatchObject({ state: 'gone', kind: 'orphaned' });
});

/** Ansible's own wrapper with a module that runs a shell command. */
class StockBench {
  private readonly begunFiles = new Map<string, string>();

  private constructor(readonly bench: TaskBench) {}

  static async open(): Promise<StockBench> {
    const bench = await TaskBench.open();
    mkdirSync(path.join(bench.folder, 'async'));
    return new StockBench(bench);
  }

  get asyncDir(): string {
    return path.join(this.bench.folder, 'async');
  }

  /** @param times the module runs the command so often */
  async start(shell: string, times = 1): Promise<string> {
    const module = path.join(this.bench.folder, `module.${Math.random()}`);
    const begun = `${module}.begun`;
    // As of a module that has more to do than to tell.
    const body = `import json, subprocess, time
for _ in range(${times}): done = subprocess.run(${JSON.stringify(`: > ${begun}; ${shell}`)}, shell=True, stdout=subprocess.PIPE, universal_newlines=True)
time.sleep(0.3)
print(json.dumps({"changed": True, "rc": done.returncode, "stdout": done.stdout.strip()}))`;
    writeFileSync(module, `#!${this.bench.python}\n${body}\n`, { mode: 0o700 });
    const { python } = loadConfig({});
    const packages = await this.bench.run(
      [python, '-c', 'import ansible.modules as m; print(list(m.__path__)[0])'],
      {},
    );
    // Beside Ansible's other modules it would find those in place of Python's.
    const stock = path.join(this.bench.folder, 'async_wrapper.py');
    copyFileSync(path.join(packages.trim(), 'async_wrapper.py'), stock);
    const environment = { ...this.bench.env, PYTHONPATH: undefined, ANSIBLE_ASYNC_DIR: this.asyncDir };
    const jid = `j${Math.floor(Math.random() * 1e12)}`;
    const answer = JSON.parse(await this.bench.run([python, stock, jid, '3600', module, '_'], environment));
    this.begunFiles.set(answer.ansible_job_id, begun);
    return answer.ansible_job_id;
  }

  /** One that is found by its pids when its wrapper is dead (PIDS_BETWEEN), as soon as that works on a busy machine. */
  async startNear(shell: string): Promise<string> {
    for (;;) {
      const job = await this.start(shell);
      await this.begun(job);
      if (await this.isNear(job, job)) return job;
      await kill(...(await this.members(job)));
    }
  }

  /** Two, of which the second's session may be taken for the first's (PIDS_BETWEEN), as soon as that works on a busy machine. */
  async startClose(): Promise<{ first: string; second: string }> {
    for (;;) {
      const [first, second] = [await this.start('sleep 600'), await this.start('sleep 601')];
      for (const job of [first, second]) await this.begun(job);
      if (await this.isNear(second, first)) return { first, second };
      for (const job of [first, second]) await kill(...(await this.members(job)));
    }
  }

  /** Whether the session of a job may be taken for that of a job that `launched`. */
  private async isNear(job: string, launched: string): Promise<boolean> {
    const between = (await this.sessions(job)).session! - Number(launched.split('.')[1]);
    return between > 0 && between <= 64;
  }

  async look(job_id: string, part: object = {}): Promise<any> {
    const adopt = { job_id, async_dir: this.asyncDir };
    const { jobs } = await this.bench.call('longhaul_look', { jobs: [{ adopt, ...part }] });
    return jobs[0];
  }

  async wrappers(job: string): Promise<number[]> {
    const found = (await run('pgrep', ['-f', `async_wrapper.py ${job.split('.')[0]} `])).stdout;
    return found.trim().split('\n').map(Number);
  }

  /** Until the command runs: before, a signal would end the module, which could not tell of it. */
  begun(job: string): Promise<void> {
    return until('its command', () => existsSync(this.begunFiles.get(job)!));
  }

  /** Those in the session of the job's wrapper. */
  async members(job: string): Promise<number[]> {
    const { all, session } = await this.sessions(job);
    return all.filter(({ sid }) => sid === session).map(({ pid }) => pid);
  }

  /** All processes, and the session of the job's wrapper. */
  private async sessions(job: string) {
    const { stdout } = await run('ps', ['-eo', 'pid=,sid=,args=']);
    const all = stdout.split('\n').map((line) => {
      const [pid, sid, ...args] = line.trim().split(/\s+/);
      return { pid: Number(pid), sid: Number(sid), command: args.join(' ') };
    });
    const wrapper = all.find(({ command }) => command.includes(`async_wrapper.py ${job.split('.')[0]} `));
    return { all, session: wrapper?.sid };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.bench[Symbol.asyncDispose]();
  }
}
