import { afterAll, describe, expect, test } from 'vitest';
import { chaos } from '../service/chaos.js';
import { AttemptBench, until } from './bench.js';
import {
  canTrace,
  chosen,
  drive,
  driveTo,
  hasWritten,
  pointsOf,
  reached,
  type CrashPoint,
  type Role,
} from './crash-points.js';

/**
 * kill -9 right before every durable step of every process of an attempt. The steps are measured in an undisturbed run,
 * so that a new one is covered by itself; CHAOS=full takes all, else a seeded choice.
 */
const ledger = { playbook: 'ledger.yml', extra_vars: { pause: 0 } };
const inFull = process.env.CHAOS === 'full';
const each = chaos(1, Infinity);
const isMeasured = process.env.CI !== undefined || canTrace();
const outcomes = new Map<string, number>();

describe.skipIf(!isMeasured)('kill -9 before every durable step (skipped: needs ptrace)', async () => {
  const running = isMeasured ? await measured(ledger) : [];
  const ending = isMeasured ? await measuredCancel(false) : [];
  const voiding = isMeasured ? await measuredCancel(true) : [];

  test('there are steps of every process', () => {
    for (const role of ['D', 'S', 'A'] as const)
      expect(running.filter((point) => point.role === role).length).toBeGreaterThan(4);
    for (const points of [ending, voiding]) expect(points.filter(({ role }) => role === 'E').length).toBeGreaterThan(4);
  });

  test.for(chosen(running, 'D', each))(
    'the worker before step $number, $call $target: it runs once, and is told',
    async (point) => {
      await using bench = await AttemptBench.open(ledger);
      await diesAndIsResumed(bench, point);
      expect(await outcomeOf(bench)).toMatchObject({ status: 'successful', stats: { localhost: { ok: 3 } } });
      await expectAllOver(bench, ['1', '2', '3']);
    },
  );

  test.for(chosen(running, 'S', each))(
    'the supervisor before step $number, $call $target: it runs once, and is told',
    async (point) => {
      await using bench = await AttemptBench.open(ledger);
      await diesAndIsResumed(bench, point);
      expect(await outcomeOf(bench)).toMatchObject({ status: 'successful', stats: { localhost: { ok: 3 } } });
      await expectAllOver(bench, ['1', '2', '3']);
    },
  );

  test.for(chosen(running, 'A', each))(
    'Ansible before step $number, $call $target: started once, killed, or already told',
    async (point) => {
      await using bench = await AttemptBench.open(ledger);
      await diesAndIsResumed(bench, point);
      await expectTruth(bench, point, ['killed']);
    },
  );

  test.for(chosen(running, 'A', each))(
    'Ansible and its supervisor before step $number, $call $target: started once, lost, or already told',
    async (point) => {
      await using bench = await AttemptBench.open(ledger);
      await diesAndIsResumed(bench, point, ['S']);
      await expectTruth(bench, point, ['lost']);
    },
  );

  test.for(chosen(running, 'A', each))(
    'all at once before step $number, $call $target: started once, lost, or already told',
    async (point) => {
      await using bench = await AttemptBench.open(ledger);
      await diesAndIsResumed(bench, point, ['S', 'D']);
      await expectTruth(bench, point, ['lost']);
    },
  );

  test.for(chosen(ending, 'E', each))(
    'the cancel before step $number, $call $target: said again, it ends all',
    async (point) => {
      await using bench = await AttemptBench.open({ playbook: 'stubborn.yml' });
      const first = drive('run', bench.job);
      await bench.ledgerHas('staying');
      await cancelDiesAndIsRepeated(bench, point);
      expect(await first.outcome).toMatchObject({ status: 'canceled', reason: 'asked to' });
      await expectAllOver(bench, ['grandchild', 'staying']);
    },
  );

  test.for(chosen(voiding, 'E', each))(
    'a cancel before the start, before step $number, $call $target: nothing is started',
    async (point) => {
      await using bench = await AttemptBench.open(ledger);
      await bench.place();
      await cancelDiesAndIsRepeated(bench, point);
      expect(await outcomeOf(bench)).toMatchObject({ status: 'canceled', started_at: null });
      await expectAllOver(bench, []);
    },
  );

  /** What the truth table says of an attempt whose Ansible died at this point. */
  async function expectTruth(bench: AttemptBench, point: CrashPoint, kinds: string[]): Promise<void> {
    const began = hasWritten(running, point, 'started');
    const ended = hasWritten(running, point, 'result.json');
    const outcome = await outcomeOf(bench);
    if (began && !ended)
      expect(outcome, await bench.contents()).toMatchObject({
        status: 'failed',
        rc: null,
        failure: { kind: expect.toBeOneOf(kinds) as string },
      });
    else expect(outcome, await bench.contents()).toMatchObject({ status: 'successful' });
    const lines = await bench.ledger();
    await expectAllOver(
      bench,
      outcome.status === 'successful' ? ['1', '2', '3'] : ['1', '2', '3'].slice(0, lines.length),
    );
  }

  afterAll(() => {
    if (inFull)
      console.info(`${running.length + ending.length + voiding.length} points:`, Object.fromEntries(outcomes));
  });
});

async function diesAndIsResumed(bench: AttemptBench, point: CrashPoint, also: Role[] = []): Promise<void> {
  const traced = driveTo('run', bench.job, point, also);
  expect(await reached(traced)).toBe(true);
  const outcome = await drive('run', bench.job).outcome;
  await traced.ended;
  const first = await traced.outcome;
  if (first !== undefined) expect(first).toEqual(outcome);
  const kind = outcome?.status === 'failed' ? outcome.failure.kind : (outcome?.status ?? 'none');
  outcomes.set(
    `${[point.role, ...also].join('+')} ${kind}`,
    (outcomes.get(`${[point.role, ...also].join('+')} ${kind}`) ?? 0) + 1,
  );
}

async function cancelDiesAndIsRepeated(bench: AttemptBench, point: CrashPoint): Promise<void> {
  const traced = driveTo('cancel', bench.job, point, ['D']);
  expect(await reached(traced)).toBe(true);
  await traced.ended;
  await drive('cancel', bench.job).outcome;
  expect(bench.members()).toEqual([]);
}

/** The outcome, asked for again in this process: it must be the one on record. */
async function outcomeOf(bench: AttemptBench) {
  const ref = await bench.place();
  const outcome = await bench.run(ref);
  expect(await bench.run(ref)).toEqual(outcome);
  return outcome;
}

async function expectAllOver(bench: AttemptBench, lines: string[]): Promise<void> {
  expect(await bench.ledger()).toEqual(lines);
  await bench.allGone();
  expect(await bench.isFree()).toBe(true);
}

async function measured(spec: typeof ledger): Promise<CrashPoint[]> {
  await using bench = await AttemptBench.open(spec);
  const driver = driveTo('run', bench.job);
  await driver.ended;
  expect(await driver.outcome).toMatchObject({ status: 'successful' });
  return pointsOf(await driver.log());
}

async function measuredCancel(beforeStart: boolean): Promise<CrashPoint[]> {
  await using bench = await AttemptBench.open(beforeStart ? ledger : { playbook: 'stubborn.yml' });
  if (beforeStart) {
    await bench.place();
  } else {
    void drive('run', bench.job);
    await bench.ledgerHas('staying');
  }
  const driver = driveTo('cancel', bench.job);
  await driver.ended;
  await driver.outcome;
  if (!beforeStart) await until('the end of its watching', () => bench.isFree());
  return pointsOf(await driver.log());
}
