import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config.js';
import { textOf, until } from '../ansible/bench.js';
import { canTrace, chosen, pointsOf, type CrashPoint, type Role } from '../ansible/crash-points.js';
import { chaos } from '../service/chaos.js';
import { TaskBench, verbLine, type Task } from './bench.js';

/**
 * kill -9 right before every durable step of a task's processes on the target, and of what prepares, ends and cleans it.
 * The steps are measured in an undisturbed run; CHAOS=full takes all, else a seeded choice.
 */
const each = chaos(1, Infinity);
const isMeasured = process.env.CI !== undefined || canTrace();

describe.skipIf(!isMeasured)('kill -9 on a target before every durable step (skipped: needs ptrace)', async () => {
  const starting = isMeasured ? await measuredStart() : [];
  const preparing = isMeasured ? await measuredPrepare() : [];
  const ending = isMeasured ? await measuredEnd() : [];
  const cleaning = isMeasured ? await measuredClean() : [];

  test('there are steps of every process', () => {
    for (const role of ['S', 'A', 'C'] as const)
      expect(starting.filter((point) => point.role === role).length, role).toBeGreaterThan(1);
    for (const points of [preparing, ending, cleaning]) expect(points.length).toBeGreaterThan(3);
  });

  test.for(chosen(starting, 'S', each))(
    'the supervisor before step $number, $call $target: it runs once, and is told',
    async (point) => {
      await using bench = await TaskBench.open();
      const task = await bench.prepare(work(bench));
      await diesAndIsStartedAgain(bench, task, point, []);
      expect(await bench.ended(task), await bench.contents(task)).toMatchObject({
        state: 'finished',
        result: { rc: 0 },
      });
      await expectOver(bench, task, ['ran']);
    },
  );

  for (const also of [['P'], ['S'], ['S', 'T'], ['S', 'P', 'C', 'T']] as Role[][])
    test.for(chosen(starting, 'A', each))(
      `A${also.join('')} before step $number, $call $target: it runs once at most, and is told`,
      async (point) => {
        await using bench = await TaskBench.open();
        const task = await bench.prepare(work(bench));
        await diesAndIsStartedAgain(bench, task, point, also);
        await expectTruth(bench, task, also.includes('S'));
      },
    );

  for (const also of [[], ['A'], ['A', 'S']] as Role[][])
    test.for(chosen(starting, 'C', each))(
      `C${also.join('')} before step $number, $call $target: it runs once at most, and is told`,
      async (point) => {
        await using bench = await TaskBench.open();
        const task = await bench.prepare(work(bench));
        await diesAndIsStartedAgain(bench, task, point, also);
        await expectTruth(bench, task, also.includes('S'));
      },
    );

  test.for(chosen(preparing, 'E', each))(
    'its preparation before step $number, $call $target: said again, it is whole',
    async (point) => {
      await using bench = await TaskBench.open();
      const job = bench.job(work(bench));
      await trace(bench, verbLine(bench, 'longhaul_prepare'), {}, point, [], { jobs: [job], base: bench.base });
      const { jobs } = await bench.call('longhaul_prepare', { jobs: [job], base: bench.base });
      const task = { ...job, ...jobs[0], work: {} } as Task;
      expect(readdirSync(task.dir).filter((name) => name.startsWith('.spare'))).toHaveLength(8);
      expect(await bench.start(task)).toMatchObject({ failed: false });
      await bench.ended(task);
      await expectOver(bench, task, ['ran']);
    },
  );

  test.for(chosen(ending, 'E', each))(
    'its end before step $number, $call $target: said again, it ends all',
    async (point) => {
      await using bench = await TaskBench.open();
      const task = await bench.startNew({
        shell: `${bench.note('up')}; trap "" TERM; sleep 600 & sleep 600; sleep 600`,
      });
      await bench.ledgerHas('up');
      await trace(bench, verbLine(bench, 'longhaul_end'), {}, point, [], endOf(task));
      expect(await bench.end(task, 'cancel', 0.2)).toEqual({ left: [], unknown: null });
      expect(await bench.look(task)).toMatchObject({ state: 'finished', result: { cause: 'cancel' } });
      await expectOver(bench, task, ['up']);
    },
  );

  test.for(chosen(cleaning, 'E', each))(
    'its clean-up before step $number, $call $target: said again, it is done',
    async (point) => {
      await using bench = await TaskBench.open();
      const task = await bench.startNew(work(bench));
      await bench.ended(task);
      await bench.allGone(task);
      await trace(bench, verbLine(bench, 'longhaul_clean'), {}, point, [], { dirs: [task.dir], kept: 60 });
      expect(await bench.clean(task)).toEqual({ cleaned: true, reason: null });
      expect(await bench.start(task)).toMatchObject({ failed: false });
      await expectOver(bench, task, ['ran']);
    },
  );
});

function work(bench: TaskBench) {
  return { shell: `${bench.note('ran')}; echo said; sleep 0.3` };
}

function endOf({ dir, marker }: Task) {
  return { jobs: [{ dir, marker, cause: 'cancel', reason: '', grace: 0.2 }] };
}

/** Nobody says that it ran when it did not, or did not when it did; only with S gone may its end be unknown. */
async function expectTruth(bench: TaskBench, task: Task, withoutSupervisor: boolean): Promise<void> {
  const seen = await bench.ended(task);
  const ran = await bench.ledger();
  const told = await bench.contents(task);
  if (seen.state === 'gone') expect([withoutSupervisor, seen.kind], told).toEqual([true, 'orphaned']);
  else if (seen.result?.rc === 0) expect(ran, told).toEqual(['ran']);
  else expect(seen, told).toMatchObject({ state: 'finished', result: { rc: null, signal: 9 } });
  await expectOver(bench, task, ran);
  expect(ran.length, told).toBeLessThanOrEqual(1);
}

async function expectOver(bench: TaskBench, task: Task, ledger: string[]): Promise<void> {
  await bench.allGone(task);
  expect(await bench.start(task).then(({ longhaul }) => longhaul.claim)).toBe('started');
  expect(await bench.ledger()).toEqual(ledger);
}

async function diesAndIsStartedAgain(bench: TaskBench, task: Task, point: CrashPoint, also: Role[]): Promise<void> {
  const { command, env } = bench.startLine(task);
  const ended = trace(bench, command, env, point, also);
  await until('the crash point', async () => (await textOf(logOf(bench))).includes('killed\n'));
  // What ends after a kill takes a wrapper that is just starting with it: then Ansible is told nothing.
  await bench.start(task).catch(() => undefined);
  await ended;
  let state = '';
  await until('what became of it', async () => (state = (await bench.look(task)).state) !== 'claimed');
  // The other start may have come while the first one was dying: whoever watches it launches it again.
  if (['ready', 'never_began'].includes(state)) await bench.start(task);
}

const logOf = (bench: TaskBench) => path.join(bench.folder, 'steps');

/** Runs a program to a crash point, until all that it started has ended. */
async function trace(
  bench: TaskBench,
  command: string[],
  env: object,
  point?: CrashPoint,
  also: Role[] = [],
  input?: unknown,
): Promise<CrashPoint[]> {
  const at = point === undefined ? '-' : [point.role, point.number, ...also].join(':');
  const tracer = path.join(import.meta.dirname, '../ansible/crash_point.py');
  const child = spawn(loadConfig({}).python, [tracer, logOf(bench), bench.base, at, ...command], {
    env: { ...bench.env, ...env },
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input === undefined ? '' : JSON.stringify(input));
  await once(child, 'close');
  return pointsOf(await textOf(logOf(bench)));
}

async function measuredStart(): Promise<CrashPoint[]> {
  await using bench = await TaskBench.open();
  const task = await bench.prepare(work(bench));
  const { command, env } = bench.startLine(task);
  const points = await trace(bench, command, env);
  expect(await bench.ended(task)).toMatchObject({ state: 'finished', result: { rc: 0 } });
  return points;
}

async function measuredPrepare(): Promise<CrashPoint[]> {
  await using bench = await TaskBench.open();
  const points = await trace(bench, verbLine(bench, 'longhaul_prepare'), {}, undefined, [], {
    jobs: [bench.job(work(bench))],
    base: bench.base,
  });
  expect(existsSync(bench.base)).toBe(true);
  return points;
}

async function measuredEnd(): Promise<CrashPoint[]> {
  await using bench = await TaskBench.open();
  const task = await bench.startNew({ shell: `${bench.note('up')}; sleep 600` });
  await bench.ledgerHas('up');
  return await trace(bench, verbLine(bench, 'longhaul_end'), {}, undefined, [], endOf(task));
}

async function measuredClean(): Promise<CrashPoint[]> {
  await using bench = await TaskBench.open();
  const task = await bench.startNew(work(bench));
  await bench.ended(task);
  await bench.allGone(task);
  return await trace(bench, verbLine(bench, 'longhaul_clean'), {}, undefined, [], { dirs: [task.dir], kept: 60 });
}
