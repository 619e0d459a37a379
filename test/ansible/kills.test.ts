import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { AttemptBench, isAlive, kill, until } from './bench.js';

/** What kill -9 leaves is told apart as the truth table of docs/architecture.md says, and stragglers are ended. */
describe('kill -9', () => {
  test('of the supervisor: the playbook goes on and tells its own end', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' }, { gated: true });
    const watching = bench.run(await bench.place());
    await bench.ledgerHas('1');
    kill(await bench.claimant('supervisor'), 'SIGKILL');
    await until('it to be told', () =>
      bench.heartbeats.some(({ message }) => message === 'its supervisor is gone; it goes on'),
    );
    await bench.openGate();
    expect(await watching).toMatchObject({ status: 'successful', rc: 0, stats: { localhost: { ok: 3 } } });
    expect(await bench.ledger()).toEqual(['1', '2', '3']);
  });

  test('of Ansible: killed by signal 9, its stragglers ended', async () => {
    await using bench = await AttemptBench.open({ playbook: 'stubborn.yml' });
    const watching = bench.run(await bench.place());
    await bench.ledgerHas('staying');
    kill(await bench.claimant('ansible'), 'SIGKILL');
    expect(await watching).toMatchObject({ status: 'failed', rc: null, failure: { kind: 'killed', signal: 9 } });
    expect(bench.members()).toEqual([]);
    expect(await bench.isFree()).toBe(true);
  });

  test('of Ansible by TERM: killed by signal 15', async () => {
    await using bench = await AttemptBench.open({ playbook: 'stubborn.yml' });
    const watching = bench.run(await bench.place());
    await bench.ledgerHas('staying');
    kill(await bench.claimant('ansible'), 'SIGTERM');
    expect(await watching).toMatchObject({ status: 'failed', rc: null, failure: { kind: 'killed', signal: 15 } });
    expect(bench.members()).toEqual([]);
  });

  test.for([
    ['supervisor', 'ansible'],
    ['ansible', 'supervisor'],
  ] as const)('of %s then %s: lost or killed, never running for ever, stragglers ended', async ([first, second]) => {
    await using bench = await AttemptBench.open({ playbook: 'stubborn.yml' });
    const watching = bench.run(await bench.place());
    await bench.ledgerHas('staying');
    const pids = [await bench.claimant(first), await bench.claimant(second)];
    for (const pid of pids) kill(pid, 'SIGKILL');
    const outcome = await watching;
    const kinds = first === 'supervisor' ? ['lost'] : ['lost', 'killed'];
    expect(outcome).toMatchObject({ status: 'failed', rc: null, failure: { kind: expect.toBeOneOf(kinds) as string } });
    expect(outcome.started_at).not.toBeNull();
    expect(bench.members()).toEqual([]);
    expect(await bench.run(await bench.place())).toEqual(outcome);
  });

  test('of both with no worker there: who comes later says lost, and starts nothing again', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml', extra_vars: { last_pause: 60 } });
    const ref = await bench.place();
    await bench.attempts.start(bench.key, ref.token);
    await bench.ledgerHas('3');
    for (const which of ['supervisor', 'ansible'] as const) kill(await bench.claimant(which), 'SIGKILL');
    expect(await bench.run(ref)).toMatchObject({ status: 'failed', failure: { kind: 'lost' } });
    expect(await bench.ledger()).toEqual(['1', '2', '3']);
    expect(bench.members()).toEqual([]);
  });

  test('before Ansible began: the next claim starts it, once', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml', extra_vars: { pause: 0 } });
    const ref = await bench.place();
    // A claim whose claimants are dead is what is left of a start that died at the gate.
    await bench.claimFor({ supervisor: deadIdentity(), ansible: deadIdentity() });
    expect(await bench.run(ref)).toMatchObject({ status: 'successful' });
    expect(await bench.ledger()).toEqual(['1', '2', '3']);
    expect(readdirSync(bench.folder)).toEqual(expect.arrayContaining(['claim.1', 'claim.2']));
  });

  test('of five starts before Ansible began: it is not tried for ever', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    const ref = await bench.place();
    for (let claim = 1; claim <= 5; claim++)
      await bench.claimFor({ supervisor: deadIdentity(), ansible: deadIdentity() }, claim);
    expect(await bench.run(ref)).toMatchObject({ status: 'failed', failure: { kind: 'launch' } });
    expect(await bench.ledger()).toEqual([]);
  });

  test('of no one: a stopped supervisor or Ansible is alive, and goes on when continued', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' }, { gated: true });
    const watching = bench.run(await bench.place());
    await bench.ledgerHas('1');
    const pids = [await bench.claimant('supervisor'), await bench.claimant('ansible')];
    for (const pid of pids) kill(pid, 'SIGSTOP');
    const told = bench.heartbeats.length;
    await until('a heartbeat', () => bench.heartbeats.length > told + 1);
    expect((await bench.attempts.look(bench.key)).state).toBe('running');
    for (const pid of pids) kill(pid, 'SIGCONT');
    await bench.openGate();
    expect(await watching).toMatchObject({ status: 'successful' });
    expect(await bench.ledger()).toEqual(['1', '2', '3']);
  });

  test('of a stopped supervisor ends the wait: the stopped Ansible is still seen as running', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' }, { gated: true });
    const watching = bench.run(await bench.place());
    await bench.ledgerHas('1');
    const [supervisor, ansible] = [await bench.claimant('supervisor'), await bench.claimant('ansible')];
    for (const pid of [supervisor, ansible]) kill(pid, 'SIGSTOP');
    kill(supervisor, 'SIGKILL');
    await until('the death of the supervisor', () => !isAlive(supervisor));
    expect(await bench.attempts.look(bench.key)).toMatchObject({ state: 'running', supervised: false });
    kill(ansible, 'SIGCONT');
    await bench.openGate();
    expect(await watching).toMatchObject({ status: 'successful' });
  });
});

/** Nobody can have it: no process is that old. */
function deadIdentity(): { pid: number; start: number } {
  return { pid: process.pid, start: 1 };
}
