import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { someOf } from '../service/chaos.js';
import { AttemptBench, isAlive, kill, until } from './bench.js';

describe('a cancel', () => {
  test('ends a grandchild in a session of its own that ignores TERM', async () => {
    await using bench = await AttemptBench.open({ playbook: 'stubborn.yml' });
    const watching = bench.run(await bench.place());
    await bench.ledgerHas('staying');
    await bench.cancel('asked to');
    expect(bench.members()).toEqual([]);
    expect(await watching).toMatchObject({ status: 'canceled', reason: 'asked to' });
    expect(await bench.isFree()).toBe(true);
  });

  test.for(someOf(1, ['supervisor', 'ansible', 'supervisor,ansible', 'ansible,supervisor']))(
    'ends all when %s is stopped by SIGSTOP',
    async (stopped) => {
      await using bench = await AttemptBench.open({ playbook: 'stubborn.yml' });
      const watching = bench.run(await bench.place());
      await bench.ledgerHas('staying');
      for (const which of stopped.split(',')) kill(await bench.claimant(which as 'supervisor' | 'ansible'), 'SIGSTOP');
      await bench.cancel();
      expect(bench.members()).toEqual([]);
      expect(await watching).toMatchObject({ status: 'canceled' });
    },
  );

  test('ends what a dead supervisor has left', async () => {
    await using bench = await AttemptBench.open({ playbook: 'stubborn.yml' });
    const watching = bench.run(await bench.place());
    await bench.ledgerHas('staying');
    kill(await bench.claimant('supervisor'), 'SIGKILL');
    await bench.cancel();
    expect(bench.members()).toEqual([]);
    expect(await watching).toMatchObject({ status: 'canceled' });
  });

  test('ends a child that cut its ties, also when its parents die first and nobody supervises', async () => {
    await using bench = await AttemptBench.open({ playbook: 'untied.yml' });
    const watching = bench.run(await bench.place());
    await bench.ledgerHas('staying');
    const child = Number(await readFile(path.join(bench.job.dataDir, 'ledger.pid'), 'utf8'));
    kill(await bench.claimant('supervisor'), 'SIGKILL');
    expect(isAlive(child)).toBe(true);
    await bench.cancel();
    expect(isAlive(child)).toBe(false);
    expect(await watching).toMatchObject({ status: 'canceled' });
  });

  test('by several at once, again and again, gives one answer', async () => {
    await using bench = await AttemptBench.open({ playbook: 'stubborn.yml' });
    const watching = bench.run(await bench.place());
    await bench.ledgerHas('staying');
    await Promise.all([bench.cancel('first'), bench.cancel('first'), bench.cancel('first')]);
    const outcome = await watching;
    await bench.cancel('later');
    expect(outcome).toMatchObject({ status: 'canceled', reason: 'first' });
    expect(await bench.run(await bench.place())).toEqual(outcome);
  });

  test('comes too late for what has ended: the outcome on disk wins', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml', extra_vars: { pause: 0 } });
    const ref = await bench.place();
    await bench.attempts.start(bench.key, ref.token);
    await until('a result', () =>
      readFile(path.join(bench.folder, 'result.json')).then(
        () => true,
        () => false,
      ),
    );
    await bench.cancel();
    expect(await bench.run(ref)).toMatchObject({ status: 'successful', rc: 0 });
  });

  test('does not take the place of an earlier cause', async () => {
    await using bench = await AttemptBench.open({ playbook: 'stubborn.yml' });
    const ref = await bench.place();
    await bench.attempts.start(bench.key, ref.token);
    await bench.ledgerHas('staying');
    await bench.attempts.end(bench.key, 'timeout', 'its timeout passed');
    await bench.cancel();
    expect(await bench.run(ref)).toMatchObject({ status: 'failed', failure: { kind: 'timed_out' } });
  });

  test('racing with the start either wins for good or ends what was started', async () => {
    for (let round = 0; round < 4; round++) {
      await using bench = await AttemptBench.open({ playbook: 'ledger.yml', extra_vars: { last_pause: 60 } });
      const ref = await bench.place();
      const starting = bench.attempts.start(bench.key, ref.token).catch((error: unknown) => String(error));
      await new Promise((resolve) => setTimeout(resolve, round * 20));
      await bench.cancel();
      await starting;
      expect(bench.members()).toEqual([]);
      expect(await bench.run(ref)).toMatchObject({ status: 'canceled' });
    }
  });
});

describe('a timeout', () => {
  test('is kept by the supervisor with no worker there, setsid children included', async () => {
    await using bench = await AttemptBench.open({ playbook: 'stubborn.yml', timeout: 20 });
    const ref = await bench.place();
    await bench.attempts.start(bench.key, ref.token);
    await bench.ledgerHas('grandchild');
    await until('the end of all', () => bench.members().length === 0);
    expect(await bench.run(ref)).toMatchObject({ status: 'failed', failure: { kind: 'timed_out' } });
  });

  test('is kept by the worker when the supervisor is dead', async () => {
    await using bench = await AttemptBench.open({ playbook: 'stubborn.yml', timeout: 20 });
    const watching = bench.run(await bench.place());
    await bench.ledgerHas('staying');
    kill(await bench.claimant('supervisor'), 'SIGKILL');
    expect(await watching).toMatchObject({ status: 'failed', failure: { kind: 'timed_out' } });
    expect(bench.members()).toEqual([]);
  });

  test('that did not pass changes nothing', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml', timeout: 60 });
    expect(await bench.run(await bench.place())).toMatchObject({ status: 'successful' });
  });
});

describe('a natural end', () => {
  test('lists the daemon that the playbook left, and lets it live', async () => {
    await using bench = await AttemptBench.open({ playbook: 'daemon.yml' });
    const ref = await bench.place();
    const outcome = await bench.run(ref);
    const daemon = Number((await bench.ledger())[0]);
    expect(outcome).toMatchObject({ status: 'successful', leftovers: [{ pid: daemon, command: 'sleep 300' }] });
    expect(isAlive(daemon)).toBe(true);
    expect(await bench.isFree()).toBe(true);
    await bench.cancel();
    expect(isAlive(daemon)).toBe(true);
    expect(await bench.run(ref)).toEqual(outcome);
  });

  test('needs no worker: who comes later finds it', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml', extra_vars: { pause: 0 } });
    const ref = await bench.place();
    await bench.attempts.start(bench.key, ref.token);
    await until('the end of all', () => bench.members().length === 0);
    expect(await bench.run(ref)).toMatchObject({ status: 'successful', stats: { localhost: { ok: 3 } } });
  });

  test('told by a result without counters is told all the same', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    const ref = await bench.place();
    const record = { rc: 0, signal: null, cause: null, at: 1, stats: { localhost: 'nonsense' }, leftovers: 7 };
    await writeFile(path.join(bench.folder, 'result.json'), JSON.stringify(record));
    expect(await bench.run(ref)).toMatchObject({ status: 'successful', stats: {}, leftovers: [] });
  });
});
