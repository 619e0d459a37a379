import { rmSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { AttemptBench } from './bench.js';
import { describeWithDisk, SmallDisk } from './small-disk.js';

describeWithDisk('a full disk', () => {
  test.for([0, 5])(
    'while it runs: the playbook goes on, its rc is kept, and the loss is told (exit %i)',
    async (code) => {
      using disk = new SmallDisk();
      await using bench = await AttemptBench.open(
        { playbook: 'fill.yml', extra_vars: { disk: disk.folder, code } },
        { dataDir: disk.dataDir },
      );
      const outcome = await bench.run(await bench.place());
      expect(outcome).toMatchObject({ status: 'failed', rc: code === 0 ? 0 : 2, failure: { kind: 'storage' } });
      expect(await bench.ledger()).toEqual(['full', 'went on']);
      expect(await bench.run(await bench.place())).toMatchObject({
        rc: outcome.rc,
        finished_at: outcome.finished_at,
        failure: { kind: 'storage' },
      });
      expect(await bench.isFree()).toBe(true);
    },
  );

  test('that has space again at the end: the loss is told', async () => {
    using disk = new SmallDisk();
    await using bench = await AttemptBench.open(
      { playbook: 'fill.yml', extra_vars: { disk: disk.folder, code: 0, empty: true } },
      { dataDir: disk.dataDir },
    );
    const outcome = await bench.run(await bench.place());
    expect(outcome).toMatchObject({ status: 'failed', rc: 0, failure: { kind: 'storage' } });
    expect(await bench.run(await bench.place())).toEqual(outcome);
  });

  test('before the start: it is started from reserved space, which then takes its output', async () => {
    using disk = new SmallDisk();
    await using bench = await AttemptBench.open(
      { playbook: 'ledger.yml', extra_vars: { pause: 0 } },
      { dataDir: disk.dataDir },
    );
    const ref = await bench.place();
    disk.fill();
    const outcome = await bench.run(ref);
    expect(outcome).toMatchObject({ status: 'successful', rc: 0 });
    expect(await bench.ledger()).toEqual(['1', '2', '3']);
    expect(await bench.stdout()).toContain('PLAY RECAP');
    await bench.allGone();
  });

  test('with no reserve left: nothing is started, and nothing is said that is not so', async () => {
    using disk = new SmallDisk();
    await using bench = await AttemptBench.open(
      { playbook: 'ledger.yml', extra_vars: { pause: 0 } },
      { dataDir: disk.dataDir },
    );
    const ref = await bench.place();
    for (let spare = 1; spare <= 5; spare++) rmSync(path.join(bench.folder, `.spare.${spare}`));
    disk.fill();
    await expect(bench.run(ref)).rejects.toThrow('No space left on device');
    expect(await bench.ledger()).toEqual([]);
    disk.empty();
    expect(await bench.run(ref)).toMatchObject({ status: 'successful' });
    expect(await bench.ledger()).toEqual(['1', '2', '3']);
  });

  test('does not keep a cancel from ending all and being on record', async () => {
    using disk = new SmallDisk();
    await using bench = await AttemptBench.open({ playbook: 'stubborn.yml' }, { dataDir: disk.dataDir });
    const watching = bench.run(await bench.place());
    await bench.ledgerHas('staying');
    disk.fill();
    await bench.cancel('asked to');
    expect(bench.members()).toEqual([]);
    expect(await watching).toMatchObject({ status: 'canceled', reason: 'asked to' });
  });

  test('does not keep a killed attempt from being told apart', async () => {
    using disk = new SmallDisk();
    await using bench = await AttemptBench.open({ playbook: 'stubborn.yml' }, { dataDir: disk.dataDir });
    const watching = bench.run(await bench.place());
    await bench.ledgerHas('staying');
    disk.fill();
    process.kill(await bench.claimant('ansible'), 'SIGKILL');
    expect(await watching).toMatchObject({ status: 'failed', failure: { kind: 'killed', signal: 9 } });
    expect(bench.members()).toEqual([]);
  });

  test('refuses to place an attempt, and leaves nothing half-made', async () => {
    using disk = new SmallDisk();
    await using bench = await AttemptBench.open(
      { playbook: 'ledger.yml', extra_vars: { pause: 0 } },
      { dataDir: disk.dataDir },
    );
    disk.fill();
    await expect(bench.place()).rejects.toThrow('ENOSPC');
    disk.empty();
    expect(await bench.run(await bench.place())).toMatchObject({ status: 'successful' });
  });
});
