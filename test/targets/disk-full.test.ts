import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { SmallDisk, describeWithDisk } from '../ansible/small-disk.js';
import { until } from '../ansible/bench.js';
import { TaskBench } from './bench.js';

describeWithDisk('a full disk on a target', () => {
  test('while it runs: the command goes on, its rc is kept, and what was not is counted', async () => {
    using disk = new SmallDisk();
    await using bench = await TaskBench.open(path.join(disk.folder, 'tasks'));
    const task = await bench.startNew({ shell: `head -c 2000000 /dev/zero; echo $? >> ${bench.ledgerFile}; exit 4` });
    const seen = await bench.ended(task);
    expect(seen).toMatchObject({
      state: 'finished',
      result: { rc: 4, storage: { reason: 'No space left on device' } },
    });
    expect(keptAndLost(seen.result)).toBe(2_000_000);
    expect(await bench.ledger()).toEqual(['0']);
    await until('the native file', () => bench.native(task, seen.job_id).rc === 4);
  });

  test('before the start: it is started from reserved space, and ends as it ends', async () => {
    using disk = new SmallDisk();
    await using bench = await TaskBench.open(path.join(disk.folder, 'tasks'));
    const [task, killed] = await bench.prepareAll([
      { shell: bench.note('ran') },
      { shell: `${bench.note('ran')}; exec sleep 600` },
    ]);
    disk.fill();
    expect(await bench.start(task!)).toMatchObject({ failed: false });
    expect(await bench.ended(task!)).toMatchObject({ state: 'finished', result: { rc: 0, storage: null } });
    expect(await bench.start(killed!)).toMatchObject({ failed: false });
    await bench.kill(killed!, 'ansible', 'command');
    expect(await bench.ended(killed!)).toMatchObject({ state: 'finished', result: { signal: 9 } });
  });

  test('with no reserve left: nothing is started, and the reason is told', async () => {
    using disk = new SmallDisk();
    await using bench = await TaskBench.open(path.join(disk.folder, 'tasks'));
    const task = await bench.prepare({ shell: bench.note('ran') });
    for (let spare = 1; spare <= 8; spare++) rmSync(path.join(task.dir, `.spare.${spare}`));
    disk.fill();
    const refused = {
      failed: true,
      msg: expect.stringMatching(/No space left/) as string,
      longhaul: { kind: 'launch' },
    };
    expect(await bench.start(task)).toMatchObject(refused);
    expect(await bench.look(task)).toEqual({ state: 'ready' });
    disk.empty();
    expect(await bench.start(task)).toMatchObject({ failed: false });
    await bench.ended(task);
    expect(await bench.ledger()).toEqual(['ran']);
  });

  test('does not keep a cancel from ending all, nor a preparation from saying what is wrong', async () => {
    using disk = new SmallDisk();
    await using bench = await TaskBench.open(path.join(disk.folder, 'tasks'));
    const task = await bench.startNew({ shell: `${bench.note('up')}; exec sleep 600` });
    await bench.ledgerHas('up');
    disk.fill();
    expect(await bench.end(task, 'cancel', 20)).toEqual({ left: [], unknown: null });
    expect(await bench.ended(task)).toMatchObject({ result: { signal: 15, cause: 'cancel' } });
    const { jobs } = await bench.call('longhaul_prepare', { jobs: [bench.job({ argv: ['true'] })], base: bench.base });
    expect(jobs).toEqual([{ error: { kind: 'storage', msg: expect.stringMatching(/No space left/) as string } }]);
  });

  test('keeps a module from nothing that it leaves running on purpose, whose answer is larger than a record may be', async () => {
    using disk = new SmallDisk();
    await using bench = await TaskBench.open(path.join(disk.folder, 'tasks'));
    const task = await bench.startModule(`#!${bench.python}
import json, os, subprocess, time
subprocess.Popen(['sleep', '600'], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
while not os.path.exists('${bench.goFile}'): time.sleep(0.1)
print(json.dumps({"rc": 0, "msg": "done", "found": "x" * 30000}))
`);
    await bench.claimant(task, 'ansible');
    await until('its start', () => bench.record(task, 'started') !== undefined);
    disk.fill();
    bench.letGo();
    const seen = await bench.ended(task);
    expect(seen).toMatchObject({ state: 'finished', result: { rc: 0, by: 'supervisor', cause: null } });
    await until('its supervisor to be gone', () => bench.members(task).length === 1);
    disk.empty();
    expect(await bench.end(task)).toEqual({ left: [], unknown: null });
    expect(bench.members(task)).toHaveLength(1);
    expect(bench.native(task, seen.job_id)).toMatchObject({ rc: 0 });
    expect(bench.native(task, seen.job_id).failed ?? false).toBe(false);
  });

  test('keeps no module from answering, and its answer may be larger than what was reserved for records', async () => {
    using disk = new SmallDisk();
    await using bench = await TaskBench.open(path.join(disk.folder, 'tasks'));
    const text = `#!${bench.python}
import json, os, time
while not os.path.exists('${bench.goFile}'): time.sleep(0.1)
print(json.dumps({"rc": 6, "stdout": "x" * 30000}))
`;
    const task = await bench.startModule(text);
    await bench.claimant(task, 'ansible');
    await until('its start', () => bench.record(task, 'started') !== undefined);
    disk.fill();
    bench.letGo();
    const seen = await bench.ended(task);
    expect(seen).toMatchObject({
      state: 'finished',
      result: { rc: 6, failed: true, storage: { lost_bytes: expect.any(Number) as number } },
    });
    expect(keptAndLost(seen.result)).toBe(30_000);
    expect(readFileSync(path.join(task.dir, 'module.out'), 'utf8')).toContain('xxx');
  });

  test('of an answer that it took in part alone the whole size is told', async () => {
    using disk = new SmallDisk();
    await using bench = await TaskBench.open(path.join(disk.folder, 'tasks'));
    const text = `#!${bench.python}
import json, os, time
while not os.path.exists('${bench.goFile}'): time.sleep(0.1)
print(json.dumps({"exists": True, "about": "x" * 60000}))
`;
    const task = await bench.startModule(text);
    await until('its start', () => bench.record(task, 'started') !== undefined);
    disk.fill();
    bench.letGo();
    const { result, stdout } = await bench.ended(task);
    expect(result).toMatchObject({ rc: 0, storage: null });
    expect(result.stdout_bytes).toBeGreaterThan(60_000);
    expect(stdout.size).toBeLessThan(60_000);
  });
});

function keptAndLost({ stdout_bytes, storage }: { stdout_bytes: number; storage: { lost_bytes: number } }): number {
  return stdout_bytes + storage.lost_bytes;
}
