import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Outcome } from '../../src/job/outcome.js';
import { chaos, pick, seeded } from '../service/chaos.js';
import { AttemptBench, kill, textOf } from './bench.js';
import { drive } from './crash-points.js';

const { rounds, seed } = chaos(2, 200);

/** One blow: who is hit, in this order, how long after the one before. A driver that was hit is started again. */
interface Blow {
  afterMs: number;
  victims: ('driver' | 'supervisor' | 'ansible' | 'cancel')[];
}

const blows: Blow['victims'][] = [
  ['driver'],
  ['supervisor'],
  ['ansible'],
  ['driver', 'supervisor'],
  ['supervisor', 'driver'],
  ['driver', 'ansible'],
  ['supervisor', 'ansible'],
  ['ansible', 'supervisor'],
  ['ansible', 'supervisor', 'driver'],
  ['cancel'],
  ['cancel', 'supervisor'],
];

test.for(Array.from({ length: rounds }, (_, round) => seed + round))(
  'kill -9 of anything at any moment: never twice, never a lie, nothing left (CHAOS_SEED=%i)',
  async (roundSeed) => {
    const random = seeded(roundSeed);
    const plan = Array.from({ length: 1 + Math.floor(random() * 3) }, () => ({
      afterMs: Math.floor(random() * 1500),
      victims: pick(random, blows),
    }));
    await using bench = await AttemptBench.open({
      playbook: 'ledger.yml',
      extra_vars: { pause: 0.15, last_pause: 0.2 },
    });
    const hit = new Set<string>();
    try {
      await expectTruth(bench, await through(bench, plan, hit), hit);
    } catch (error) {
      const story = `plan ${JSON.stringify(plan)}, hit: ${[...hit].join(', ')}, alive: ${bench.members().join(' ')}\n${await bench.contents()}`;
      throw new Error(`CHAOS_SEED=${roundSeed}: ${String(error)}\n${story}`, { cause: error });
    }
  },
);

/** Runs an attempt through the blows to its outcome. Puts into `hit` who was really there to be hit. */
async function through(bench: AttemptBench, plan: Blow[], hit: Set<string>): Promise<Outcome> {
  let driver = drive('run', bench.job);
  const cancels: Promise<unknown>[] = [];
  for (const { afterMs, victims } of plan) {
    await delay(afterMs);
    for (const victim of victims) {
      if (victim === 'cancel') {
        hit.add('cancel');
        cancels.push(drive('cancel', bench.job).outcome);
      } else if (victim === 'driver') {
        if (kill(driver.pid, 'SIGKILL')) hit.add('driver');
      } else if (await killMember(bench, victim)) {
        hit.add(victim);
      }
    }
    if (victims.includes('driver')) {
      await driver.ended;
      driver = drive('run', bench.job);
    }
  }
  const outcome = await driver.outcome;
  await Promise.all(cancels);
  return outcome ?? (await drive('run', bench.job).outcome) ?? Promise.reject(new Error('no outcome'));
}

/** Kills whom the last claim names, if it is still that process. */
async function killMember(bench: AttemptBench, which: 'supervisor' | 'ansible'): Promise<boolean> {
  const texts = await Promise.all([5, 4, 3, 2, 1].map((number) => textOf(`${bench.folder}/claim.${number}`)));
  const claim = JSON.parse(texts.find((text) => text !== '') ?? '{}') as Partial<Record<string, { pid: number }>>;
  const pid = claim[which]?.pid;
  return pid !== undefined && bench.members().includes(pid) && kill(pid, 'SIGKILL');
}

async function expectTruth(bench: AttemptBench, outcome: Outcome, hit: Set<string>): Promise<void> {
  const lines = await bench.ledger();
  expect(lines).toEqual(['1', '2', '3'].slice(0, lines.length));
  if (outcome.status === 'successful') expect(lines).toHaveLength(3);
  if (outcome.status === 'canceled') expect(hit).toContain('cancel');
  if (outcome.status === 'failed') {
    expect(['killed', 'lost']).toContain(outcome.failure.kind);
    expect(hit).toContain('ansible');
  }
  if (hit.size === 0 || [...hit].every((victim) => victim === 'driver' || victim === 'supervisor'))
    expect(outcome.status).toBe('successful');
  await bench.allGone();
  expect(await bench.isFree()).toBe(true);
  expect(await bench.run(await bench.place())).toEqual(outcome);
  expect(await bench.ledger()).toEqual(lines);
}
