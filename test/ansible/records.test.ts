import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { someOf } from '../service/chaos.js';
import { AttemptBench, kill, until } from './bench.js';

/** What a failing disk or a hand in the folder can make of a record. */
const damages: Record<string, (file: string) => void> = {
  empty: (file) => {
    writeFileSync(file, '');
  },
  'half-written': (file) => {
    writeFileSync(file, '{"void": fal');
  },
  'of another shape': (file) => {
    writeFileSync(file, '{}');
  },
  'no mapping': (file) => {
    writeFileSync(file, '[1]');
  },
  'a folder': (file) => {
    rmSync(file, { force: true });
    mkdirSync(file);
  },
};
const cases = (record: string): string[] => someOf(2, Object.keys(damages), record);

function damage(bench: AttemptBench, record: string, how: string): void {
  (damages[how] as (file: string) => void)(path.join(bench.folder, record));
}

describe('a record that cannot be read', () => {
  test.for(cases('attempt.json, before the start'))(
    'attempt.json, %s, before the start: it failed to launch',
    async (how) => {
      await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
      const ref = await bench.place();
      damage(bench, 'attempt.json', how);
      expect(await bench.run(ref)).toMatchObject({ status: 'failed', failure: { kind: 'launch' } });
      expect(await bench.ledger()).toEqual([]);
    },
  );

  test.for(cases('token'))('token, %s: it was not started, and never will be', async (how) => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    const ref = await bench.place();
    damage(bench, 'token', how);
    const outcome = await bench.run(ref);
    expect(outcome).toMatchObject({
      status: 'failed',
      failure: { kind: expect.toBeOneOf(['lost', 'launch']) as string },
    });
    expect(await bench.run(ref)).toEqual(outcome);
    expect(await bench.ledger()).toEqual([]);
  });

  test.for(cases('claim.1, with nobody alive and no start'))(
    'claim.1, %s, with nobody alive and no start: the next claim starts it',
    async (how) => {
      await using bench = await AttemptBench.open({ playbook: 'ledger.yml', extra_vars: { pause: 0 } });
      const ref = await bench.place();
      rmSync(path.join(bench.folder, 'token'));
      damage(bench, 'claim.1', how);
      expect(await bench.run(ref)).toMatchObject({ status: 'successful' });
      expect(await bench.ledger()).toEqual(['1', '2', '3']);
    },
  );

  test.for(cases('claim.1, while it runs'))(
    'claim.1, %s, while it runs: it is found by its marker, and not started again',
    async (how) => {
      await using bench = await AttemptBench.open({ playbook: 'ledger.yml' }, { gated: true });
      const ref = await bench.place();
      await bench.attempts.start(bench.key, ref.token);
      await bench.ledgerHas('1');
      damage(bench, 'claim.1', how);
      expect((await bench.attempts.look(bench.key)).state).toBe('running');
      await bench.openGate();
      expect(await bench.run(ref)).toMatchObject({ status: 'successful' });
      expect(await bench.ledger()).toEqual(['1', '2', '3']);
    },
  );

  test('claim.1, void for a reason that cannot be read: void', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    const ref = await bench.place();
    writeFileSync(path.join(bench.folder, 'claim.1'), '{"void": true, "reason": 7}');
    expect(await bench.run(ref)).toMatchObject({ status: 'failed', failure: { kind: 'lost' } });
    expect(await bench.ledger()).toEqual([]);
  });

  test.for(cases('started'))('started, %s: it runs, and with both killed it is lost', async (how) => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml', extra_vars: { last_pause: 60 } });
    const watching = bench.run(await bench.place());
    await bench.ledgerHas('3');
    damage(bench, 'started', how);
    expect((await bench.attempts.look(bench.key)).state).toBe('running');
    const pids = [await bench.claimant('supervisor'), await bench.claimant('ansible')];
    for (const pid of pids) kill(pid, 'SIGKILL');
    expect(await watching).toMatchObject({ status: 'failed', failure: { kind: 'lost' } });
    expect(bench.members()).toEqual([]);
  });

  test.for(cases('cause.json'))('cause.json, %s: a cancel ends it all the same', async (how) => {
    await using bench = await AttemptBench.open({ playbook: 'stubborn.yml' });
    const watching = bench.run(await bench.place());
    await bench.ledgerHas('staying');
    damage(bench, 'cause.json', how);
    await bench.cancel('asked to');
    expect(await watching).toMatchObject({ status: 'canceled', reason: 'asked to' });
    expect(bench.members()).toEqual([]);
  });

  test.for(cases('result.json, when all has ended'))('result.json, %s, when all has ended: lost', async (how) => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml', extra_vars: { pause: 0 } });
    const ref = await bench.place();
    await bench.attempts.start(bench.key, ref.token);
    await until('the end of all', () => bench.members().length === 0);
    damage(bench, 'result.json', how);
    const outcome = await bench.run(ref);
    expect(outcome).toMatchObject({ status: 'failed', failure: { kind: 'lost' } });
    expect(await bench.run(ref)).toEqual(outcome);
  });

  test.for(cases('result.json, while it runs'))(
    'result.json, %s, while it runs: Ansible writes its own over it',
    async (how) => {
      await using bench = await AttemptBench.open({ playbook: 'ledger.yml' }, { gated: true });
      const watching = bench.run(await bench.place());
      await bench.ledgerHas('1');
      damage(bench, 'result.json', how);
      await bench.openGate();
      expect(await watching).toMatchObject({ status: 'successful', stats: { localhost: { ok: 3 } } });
    },
  );

  test.for(cases('outcome.json'))('outcome.json, %s: it is told again from the evidence', async (how) => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml', extra_vars: { pause: 0 } });
    const ref = await bench.place();
    const outcome = await bench.run(ref);
    damage(bench, 'outcome.json', how);
    expect(await bench.run(ref)).toEqual(outcome);
    expect(JSON.parse(readFileSync(path.join(bench.folder, 'outcome.json'), 'utf8'))).toEqual(outcome);
  });

  test.for([
    { rc: 'zero', signal: null, cause: null, at: 1 },
    { rc: 0, signal: null, cause: 'whim', at: 1 },
    { rc: 0, signal: null, cause: null, at: 1e300 },
    { rc: true, signal: null, cause: null, at: 1 },
    { rc: 0, signal: null, at: 1 },
  ])('result.json with %o has no verdict, and is not waited for', async (record) => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    const ref = await bench.place();
    await bench.claimFor({ supervisor: { start: 1 }, ansible: { start: 1 } });
    writeFileSync(path.join(bench.folder, 'started'), '');
    writeFileSync(path.join(bench.folder, 'result.json'), JSON.stringify(record));
    expect(await bench.run(ref)).toMatchObject({ status: 'failed', failure: { kind: 'lost' } });
  });
});
