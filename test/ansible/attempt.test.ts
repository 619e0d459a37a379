import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config.js';
import { AttemptBench, until } from './bench.js';

const counters = { unreachable: 0, skipped: 0, rescued: 0, ignored: 0 };

describe('an attempt', () => {
  test('runs once and tells what Ansible told', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' }, { gated: true });
    const ref = await bench.place();
    expect(await bench.isFree()).toBe(false);
    const watching = bench.run(ref);
    await until('a heartbeat', () => bench.heartbeats.length > 0);
    await bench.openGate();
    const outcome = await watching;
    expect(outcome).toMatchObject({ status: 'successful', rc: 0, leftovers: [] });
    expect(outcome.stats).toEqual({ localhost: { ...counters, ok: 3, changed: 3, failures: 0 } });
    expect(Date.parse(outcome.finished_at)).toBeGreaterThan(Date.parse(outcome.started_at ?? ''));
    expect(await bench.ledger()).toEqual(['1', '2', '3']);
    expect(await bench.isFree()).toBe(true);
    await bench.allGone();
    expect(bench.heartbeats.at(-1)).toMatchObject({ started_at: outcome.started_at });
    expect(await bench.run(await bench.place())).toEqual(outcome);
    expect(await bench.ledger()).toEqual(['1', '2', '3']);
  });

  test('prints what ansible-playbook prints by hand, byte for byte, and ends with its rc 2', async () => {
    await using bench = await AttemptBench.open({ playbook: 'failing.yml' });
    const outcome = await bench.run(await bench.place());
    expect(outcome).toMatchObject({ status: 'failed', rc: 2, failure: { kind: 'exit' } });
    expect(outcome.stats).toEqual({ localhost: { ...counters, ok: 1, changed: 0, failures: 1 } });
    const byHand = spawnSync('sh', ['-c', 'exec "$@" 2>&1', 'sh', ...(await commandByHand(bench))], {
      env: bench.job.env,
      cwd: path.join(import.meta.dirname, 'playbooks'),
    });
    expect(byHand.status).toBe(2);
    expect(await bench.stdout()).toBe(byHand.stdout.toString());
  });

  test('a bad option ends it with the rc that Ansible gives', async () => {
    await using bench = await AttemptBench.open({ playbook: 'nowhere.yml' });
    expect(await bench.run(await bench.place())).toMatchObject({
      status: 'failed',
      rc: 1,
      failure: { kind: 'exit' },
      stats: {},
    });
    expect(await bench.stdout()).toContain('nowhere.yml could not be found');
  });

  test('is started once by many that watch it at once, and all are told the same', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    const ref = await bench.place();
    const outcomes = await Promise.all(Array.from({ length: 4 }, () => bench.run(ref)));
    expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome))).size).toBe(1);
    expect(await bench.ledger()).toEqual(['1', '2', '3']);
  });

  test('a second start of a taken attempt starts nothing', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' }, { gated: true });
    const ref = await bench.place();
    expect(await bench.attempts.start(bench.key, ref.token)).toMatchObject({ claim: 'taken' });
    expect((await bench.attempts.start(bench.key, ref.token)).claim).toBe('held');
    await bench.openGate();
    expect(await bench.run(ref)).toMatchObject({ status: 'successful' });
    expect((await bench.attempts.start(bench.key, ref.token)).claim).toBe('started');
    expect(await bench.ledger()).toEqual(['1', '2', '3']);
  });

  test('placing it again finds the folder and its token, and never renews a consumed one', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    const ref = await bench.place();
    expect((await bench.place()).token).toBe(ref.token);
    await bench.run(ref);
    expect((await bench.place()).token).toBe(ref.token);
    expect(existsSync(path.join(bench.folder, 'token'))).toBe(false);
    // Its result is there a moment before the file that it was written to first is gone.
    await bench.allGone();
    expect((await readdir(bench.folder)).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('is lost, never started, when its folder is gone; the folder is not made again', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    const ref = await bench.place();
    await rm(bench.folder, { recursive: true });
    expect(await bench.run(ref)).toMatchObject({ status: 'failed', failure: { kind: 'lost' }, started_at: null });
    expect(existsSync(bench.folder)).toBe(false);
    expect(await bench.ledger()).toEqual([]);
    expect(await bench.isFree()).toBe(true);
  });

  test('is lost, never started, when neither token nor claim is there, and stays so when a token turns up', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    const ref = await bench.place();
    await rm(path.join(bench.folder, 'token'));
    expect(await bench.run(ref)).toMatchObject({ status: 'failed', failure: { kind: 'lost' } });
    await writeFile(path.join(bench.folder, 'token'), ref.token);
    expect(await bench.run(ref)).toMatchObject({ status: 'failed', failure: { kind: 'lost' } });
    expect(await bench.ledger()).toEqual([]);
  });

  test('with another token than that in its folder is not started', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    const ref = await bench.place();
    expect(await bench.attempts.start(bench.key, 'another')).toMatchObject({ claim: 'absent' });
    expect(await bench.run(ref)).toMatchObject({ status: 'successful' });
  });

  test('whose processes lost their folder ends, and takes them with it', async () => {
    await using bench = await AttemptBench.open({ playbook: 'stubborn.yml' });
    const watching = bench.run(await bench.place());
    await bench.ledgerHas('staying');
    await rm(bench.folder, { recursive: true });
    const outcome = await watching;
    expect(outcome).toMatchObject({ status: 'failed', failure: { kind: 'lost' } });
    expect(outcome.status === 'failed' && outcome.failure.message).not.toContain('never started');
    expect(bench.members()).toEqual([]);
    expect(existsSync(bench.folder)).toBe(false);
  });

  test('taken as void before its start is never started', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    const ref = await bench.place();
    await bench.cancel('changed my mind');
    expect((await bench.attempts.start(bench.key, ref.token)).claim).toBe('void');
    const outcome = await bench.run(ref);
    expect(outcome).toMatchObject({ status: 'canceled', reason: 'changed my mind', started_at: null });
    expect(await bench.run(ref)).toEqual(outcome);
    expect(await bench.ledger()).toEqual([]);
  });

  test('finds its Python with an empty HOME, and with none', async () => {
    await using empty = await AttemptBench.open(
      { playbook: 'ledger.yml', extra_vars: { pause: 0 } },
      { env: { HOME: '' } },
    );
    expect(await empty.run(await empty.place())).toMatchObject({ status: 'successful' });
    await using none = await AttemptBench.open({ playbook: 'ledger.yml', extra_vars: { pause: 0 } });
    delete none.job.env.HOME;
    expect(await none.run(await none.place())).toMatchObject({ status: 'successful' });
  });

  test('whose Ansible cannot be executed failed to launch, and says what is missing', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    const ref = await bench.place();
    const plan = path.join(bench.folder, 'attempt.json');
    const wrong = execFileSync('sed', ['s#"argv":\\["[^"]*"#"argv":["/nowhere/python"#', plan]);
    await writeFile(plan, wrong);
    const outcome = await bench.run(ref);
    expect(outcome).toMatchObject({
      status: 'failed',
      failure: { kind: 'launch', message: expect.stringContaining('/nowhere/python') as string },
    });
  });

  test('whose playbooks folder is gone failed to launch', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    const ref = await bench.place();
    const plan = path.join(bench.folder, 'attempt.json');
    await writeFile(plan, execFileSync('sed', ['s#"cwd":"[^"]*"#"cwd":"/nowhere"#', plan]));
    expect(await bench.run(ref)).toMatchObject({ status: 'failed', failure: { kind: 'launch' }, started_at: null });
    expect(await bench.ledger()).toEqual([]);
  });
});

/** The same call as a person would type it. */
async function commandByHand(bench: AttemptBench): Promise<string[]> {
  const program = path.join(path.dirname(loadConfig({}).python), 'ansible-playbook');
  const { argv } = JSON.parse(await readFile(path.join(bench.folder, 'attempt.json'), 'utf8')) as { argv: string[] };
  return argv.slice(argv.indexOf(program));
}
