import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CallTimeoutError } from '../../src/ansible/agent/errors.js';
import type { Task, TaskResult } from '../../src/ansible/agent/protocol.js';
import { carrying, livingProcesses, signal, treeOf, until } from '../service/processes.js';
import { needsSshd, Targets } from '../targets/sshd.js';
import { AgentBench, ownSeconds, sleep, sleepers } from './agent-bench.js';

needsSshd('an agent with hosts behind ssh', () => {
  let targets: Targets;
  let bench: AgentBench;

  beforeAll(async () => {
    targets = await Targets.open();
    bench = await AgentBench.open({ env: targets.env });
  });
  afterAll(async () => {
    await bench[Symbol.asyncDispose]();
    await targets[Symbol.asyncDispose]();
  });

  const on = (host: string, tasks: Task[], given: { timeoutMs?: number } = {}): Promise<TaskResult[]> =>
    bench.run(tasks, { inventory: targets.inventory, host, ...given });
  const ping: Task = { module: 'ping', args: {} };
  const masters = () =>
    livingProcesses().filter(({ command }) => command.includes(targets.folder) && command.includes('[mux]'));

  /** The processes of sshd that each serve a connection. */
  const connections = () => {
    const server = livingProcesses().find(
      ({ command }) => /sshd .*-f/.test(command) && command.includes(targets.folder),
    );
    return treeOf(server?.pid ?? 0).filter(
      ({ command }) => command.startsWith('sshd: ') && !command.includes('[listener]'),
    );
  };

  /** The two calls that launch a task of ours: with it prepared, its start. */
  function launched(host: string, seconds: number): { prepare: Task; start: (dir: string) => Task } {
    const id = createHash('sha256').update(randomBytes(8)).digest('hex').slice(0, 32);
    const token = randomBytes(8).toString('hex');
    const limits = { timeout: null, grace: 1, kept: 60 };
    const what = { argv: null, shell: null, chdir: null, host, run_id: 'run', attempt: 1 };
    const job = { id, marker: `LONGHAUL_TASK=${id}`, token, ...what, ...limits };
    return {
      prepare: { module: 'longhaul_prepare', args: { jobs: [job], base: path.join(targets.dataOf(host), 'tasks') } },
      start: (dir) => ({
        module: 'command',
        args: { argv: ['sleep', String(seconds)] },
        async: 86_400,
        async_dir: dir,
        environment: { LONGHAUL_TASK: id, LONGHAUL_TOKEN: token },
      }),
    };
  }

  async function prepared(host: string, seconds: number): Promise<Task> {
    const { prepare, start } = launched(host, seconds);
    const [answer] = await on(host, [prepare]);
    const [job] = (answer?.result.jobs ?? []) as { dir: string }[];
    return start(job?.dir ?? '');
  }

  test('asks, fails and launches there as here', async () => {
    const results = await on('ssh-1', [ping, { module: 'command', args: { argv: ['false'] } }]);
    expect(results).toMatchObject([
      { status: 'ok', result: { ping: 'pong' } },
      { status: 'failed', result: { rc: 1 } },
    ]);
    for (const host of ['ssh-1', 'here']) {
      const seconds = ownSeconds();
      const start = await prepared(host, seconds);
      const [first, second] = (await on(host, [start, start])).map(({ result }) => result.ansible_job_id);
      expect(first).toMatch(/^j\d+\.\d+$/);
      expect(second).toBe(first);
      await until('its begin', () => sleepers(seconds).length > 0);
      expect(sleepers(seconds)).toHaveLength(1);
      for (const { pid } of sleepers(seconds)) signal(pid, 'SIGKILL');
    }
  });

  test('says of a killed ssh that the task failed, and connects anew', async () => {
    const seconds = ownSeconds();
    const call = on('ssh-1', [sleep(seconds)]);
    await until('its task', () => sleepers(seconds).length === 1);
    for (const { pid, command } of livingProcesses())
      if (command.startsWith('ssh ') && command.includes(targets.folder)) signal(pid, 'SIGKILL');
    expect(await call).toMatchObject([{ status: expect.stringMatching(/unreachable|failed/) as string }]);
    expect(await on('ssh-1', [ping])).toMatchObject([{ status: 'ok' }]);
    for (const { pid } of sleepers(seconds)) signal(pid, 'SIGKILL');
  });

  test('ends a call whose connection is frozen, holds up no other, and connects anew', async () => {
    await on('ssh-1', [ping]);
    for (const { pid } of connections()) signal(pid, 'SIGSTOP');
    const frozen = on('ssh-1', [ping], { timeoutMs: 10_000 });
    frozen.catch(() => undefined);
    expect(await on('here', [ping])).toMatchObject([{ status: 'ok' }]);
    await expect(frozen).rejects.toBeInstanceOf(CallTimeoutError);
    await until('the end of its processes', () => bench.processes().length === 1);
    // Over a connection of its own, because the other one is still frozen.
    expect(await on('ssh-1', [ping])).toMatchObject([{ status: 'ok' }]);
    for (const { pid } of connections()) signal(pid, 'SIGCONT');
  });

  test('that loses its node leaves nothing but what it launched, and the connections', async () => {
    const [launchedHere, launchedThere, waitedFor] = [ownSeconds(), ownSeconds(), ownSeconds()];
    const here = await prepared('here', launchedHere);
    const there = await prepared('ssh-1', launchedThere);
    const id = `${bench.options.id}-of-another`;
    const call = (host: string, task: Task) => ({
      inventory: targets.inventory,
      extra_vars: null,
      host,
      become: false,
      tasks: [task],
    });
    const calls = [
      call('here', here),
      call('ssh-1', there),
      call('here', sleep(waitedFor)),
      call('ssh-1', sleep(waitedFor)),
    ];
    const driver = path.join(import.meta.dirname, 'agent-driver.ts');
    const node = spawn(
      process.execPath,
      ['--import', 'tsx', driver, JSON.stringify({ ...bench.options, id }), JSON.stringify(calls)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const done = new Set<string>();
    createInterface({ input: node.stdout }).on('line', (line) => done.add(line.split(' ')[1] ?? ''));
    await until('two launches and two that wait', () => done.size === 2 && sleepers(waitedFor).length === 2);
    node.kill('SIGKILL');
    await until('the end of the agent', () => carrying(`LONGHAUL_AGENT=${id}`).length === 0);
    await until('the end of what was waited for here', () => sleepers(waitedFor).length <= 1);
    expect(
      livingProcesses().filter(({ command }) => command.startsWith('ssh ') && command.includes(targets.folder)),
    ).toEqual([]);
    for (const seconds of [launchedHere, launchedThere])
      await until('what was launched', () => sleepers(seconds).length === 1);
    expect(masters()).not.toEqual([]);
  });
});
