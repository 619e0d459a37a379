import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { identityOf, liveness } from '../../src/ansible/identity.js';
import { AttemptBench, isAlive, kill, until } from './bench.js';

const isRoot = process.getuid?.() === 0;

describe('identity', () => {
  test("a reused pid isn't taken for ours, nor killed with its session", async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    const ref = await bench.place();
    const innocent = spawn('sh', ['-c', 'sleep 300 & wait'], { detached: true, stdio: 'ignore' });
    const pid = innocent.pid ?? 0;
    try {
      await bench.claimFor({ supervisor: { pid, start: 1 }, ansible: { pid, start: 1 } });
      writeFileSync(
        path.join(bench.folder, 'started'),
        JSON.stringify({ claim: 1, at: Date.now() / 1000, monotonic_ns: 1 }),
      );
      expect((await bench.attempts.look(bench.key)).state).toBe('gone');
      expect(await bench.run(ref)).toMatchObject({ status: 'failed', failure: { kind: 'lost' } });
      expect(isAlive(pid)).toBe(true);
    } finally {
      if (pid !== 0) process.kill(-pid, 'SIGKILL');
    }
  });

  test('a reused pid before the start does not keep the next claim from being taken', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml', extra_vars: { pause: 0 } });
    const ref = await bench.place();
    await bench.claimFor({ supervisor: { pid: process.pid, start: 1 }, ansible: { pid: process.pid, start: 1 } });
    expect(await bench.run(ref)).toMatchObject({ status: 'successful' });
    expect(isAlive(process.pid)).toBe(true);
  });

  test('another boot is another life: what started then is lost, what did not is started', async () => {
    const earlier = { boot: '00000000-0000-0000-0000-000000000000' };
    await using begun = await AttemptBench.open({ playbook: 'ledger.yml' });
    const ref = await begun.place();
    await begun.claimFor({ supervisor: { pid: process.pid, ...earlier }, ansible: { pid: process.pid, ...earlier } });
    writeFileSync(path.join(begun.folder, 'started'), JSON.stringify({ claim: 1, at: 1, monotonic_ns: 1 }));
    expect(await begun.run(ref)).toMatchObject({ status: 'failed', failure: { kind: 'lost' } });
    await using claimed = await AttemptBench.open({ playbook: 'ledger.yml', extra_vars: { pause: 0 } });
    const second = await claimed.place();
    await claimed.claimFor({ supervisor: { pid: process.pid, ...earlier }, ansible: { pid: process.pid, ...earlier } });
    expect(await claimed.run(second)).toMatchObject({ status: 'successful' });
  });

  test('what is known only from another pid namespace is running, says why, and is not killed', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    const ref = await bench.place();
    const foreign = { pid: process.pid, pidns: 'pid:[1]' };
    await bench.claimFor({ supervisor: foreign, ansible: foreign });
    writeFileSync(
      path.join(bench.folder, 'started'),
      JSON.stringify({ claim: 1, at: Date.now() / 1000, monotonic_ns: 1 }),
    );
    const watching = bench.run(ref);
    await until('a heartbeat', () => bench.heartbeats.length > 0);
    expect(bench.heartbeats[0]?.message).toContain('pid namespace');
    await expect(bench.cancel()).rejects.toThrow('pid namespace');
    expect(isAlive(process.pid)).toBe(true);
    bench.shutdown.abort();
    await expect(watching).rejects.toThrow();
    expect(await bench.isFree()).toBe(false);
  });

  test('seen from another pid namespace a living attempt is running, and its end is believed', async (context) => {
    if (!isRoot && process.env.CI === undefined) context.skip('needs root');
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' }, { gated: true });
    const ref = await bench.place();
    await bench.attempts.start(bench.key, ref.token);
    await bench.ledgerHas('1');
    expect(lookFromOutside(bench)).toMatchObject({
      state: 'running',
      message: expect.stringContaining('pid namespace') as string,
    });
    await bench.openGate();
    expect(await bench.run(ref)).toMatchObject({ status: 'successful' });
    expect(lookFromOutside(bench)).toMatchObject({ state: 'finished' });
  });

  test('a process that is gone has none', () => {
    expect(identityOf(2 ** 22 + 1)).toBeUndefined();
    expect(identityOf(process.pid)).toMatchObject({ pid: process.pid });
    expect(kill(2 ** 22 + 1, 'SIGTERM')).toBe(false);
  });
});

function lookFromOutside(bench: AttemptBench): unknown {
  const program = path.join(import.meta.dirname, 'driver.ts');
  const { stdout, stderr } = spawnSync(
    'unshare',
    ['-fp', '--mount-proc', process.execPath, '--import', 'tsx', program, 'look', JSON.stringify(bench.job)],
    { encoding: 'utf8' },
  );
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
}

test('what has lost its main thread lives as long as another one runs', async () => {
  const text = `import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).pthread_exit(None)`;
  const child = spawn('python3', ['-c', text], { stdio: 'ignore' });
  const identity = identityOf(child.pid!)!;
  try {
    await until('the end of its main thread', () => readFileSync(`/proc/${child.pid}/stat`, 'utf8').includes(') Z '));
    expect(liveness(identity)).toBe('alive');
  } finally {
    child.kill('SIGKILL');
  }
  await until('its death', () => liveness(identity) === 'dead');
});
