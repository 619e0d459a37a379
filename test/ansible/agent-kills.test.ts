import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AgentDiedError, CallTimeoutError } from '../../src/ansible/agent/errors.js';
import { signal, until } from '../service/processes.js';
import { AgentBench, sleepers } from './agent-bench.js';

async function expectToWork(bench: AgentBench): Promise<void> {
  expect(await bench.run([{ module: 'ping', args: {} }])).toMatchObject([{ status: 'ok' }]);
}

describe('a call', () => {
  let bench: AgentBench;
  beforeAll(async () => (bench = await AgentBench.open()));
  afterAll(async () => {
    await until('the end of their processes', () => bench.processes().length === 1);
    await bench[Symbol.asyncDispose]();
  });

  test('whose fork or worker is killed has died, and left nothing', async () => {
    const works = await Promise.all([bench.underWay(), bench.underWay()]);
    signal(works[0].fork, 'SIGKILL');
    signal(works[1].worker, 'SIGKILL');
    for (const { call, isGone } of works) {
      await expect(call).rejects.toBeInstanceOf(AgentDiedError);
      expect(isGone()).toBe(true);
    }
  });

  test('is ended at its time limit, whichever of its processes is stopped', async () => {
    const works = await Promise.all([1, 2, 3, 4].map(() => bench.underWay({ timeoutMs: 40_000 })));
    const stopped = [works[0]?.fork, works[1]?.worker, works[2]?.sleeper];
    for (const pid of stopped) signal(pid ?? 0, 'SIGSTOP');
    for (const { call, isGone } of works) {
      await expect(call).rejects.toBeInstanceOf(CallTimeoutError);
      expect(isGone()).toBe(true);
    }
  });

  test('that is aborted is rejected when its processes are gone', async () => {
    const abort = new AbortController();
    const work = await bench.underWay({ signal: abort.signal });
    abort.abort(new Error('no longer wanted'));
    await expect(work.call).rejects.toThrow('no longer wanted');
    expect(work.isGone()).toBe(true);
  });

  test('that comes later is answered all the same', () => expectToWork(bench));
});

describe('an agent', () => {
  test('that is killed takes its calls with it, and the next call starts another', async () => {
    await using bench = await AgentBench.open();
    const work = await bench.underWay();
    signal(work.agent, 'SIGKILL');
    await expect(work.call).rejects.toBeInstanceOf(AgentDiedError);
    await until('the end of all that it started', work.isGone);
    await expectToWork(bench);
    await until('the end of their processes', () => bench.processes().length === 1);
    expect(await bench.temporary()).toHaveLength(1);
  });

  test('ends what a former one of its id has left, and nothing else', async () => {
    await using bench = await AgentBench.open();
    await using other = await AgentBench.open();
    const [killed, stopped, others] = await Promise.all([bench.underWay(), bench.underWay(), other.underWay()]);
    // Stopped, they can't see to it themselves; killed, nothing but their sessions tells what was theirs.
    for (const { fork, worker } of [killed, stopped]) for (const pid of [fork, worker]) signal(pid, 'SIGSTOP');
    for (const pid of [killed.agent, killed.fork, killed.worker]) signal(pid, 'SIGKILL');
    for (const { call, seconds } of [killed, stopped]) {
      await expect(call).rejects.toBeInstanceOf(AgentDiedError);
      expect(sleepers(seconds)).toHaveLength(1);
    }
    await expectToWork(bench);
    expect([killed.isGone(), stopped.isGone(), others.isGone()]).toEqual([true, true, false]);
    await until('the end of their processes', () => bench.processes().length === 1);
    expect(await bench.temporary()).toHaveLength(1);
  });

  test('whose folder somebody removes ends, and the next one has a folder again', async () => {
    await using bench = await AgentBench.open();
    await expectToWork(bench);
    await rm(bench.path('.ansible/tmp'), { recursive: true });
    await expect(expectToWork(bench)).rejects.toBeInstanceOf(AgentDiedError);
    await expectToWork(bench);
  });

  test('that is stopped has ended all, and leaves no folder', async () => {
    await using bench = await AgentBench.open();
    const work = await bench.underWay();
    await bench.agent.stop();
    await expect(work.call).rejects.toMatchObject({ kind: expect.stringMatching(/died|stopped/) as string });
    expect(work.isGone()).toBe(true);
    expect(bench.processes()).toEqual([]);
    expect(await bench.temporary()).toEqual([]);
    await expect(expectToWork(bench)).rejects.toBeInstanceOf(AgentDiedError);
  });

  test('that answers nothing any more is ended when a call is overdue', async () => {
    await using bench = await AgentBench.open({ answerGraceMs: 500 });
    await expectToWork(bench);
    for (const { pid } of bench.processes()) signal(pid, 'SIGSTOP');
    await expect(bench.run([{ module: 'ping', args: {} }], { timeoutMs: 500 })).rejects.toBeInstanceOf(AgentDiedError);
    await expectToWork(bench);
  });
});
