import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, test } from 'vitest';
import { AgentDiedError } from '../../src/ansible/agent/errors.js';
import { signal, until } from '../service/processes.js';
import { AgentBench, ownSeconds, sleep, sleepers } from './agent-bench.js';

const look = { module: 'longhaul_look', args: { jobs: [{ dir: '/no/such/folder', marker: 'LONGHAUL_TASK=none' }] } };
const limits = { timeoutMs: 60_000 };

describe('calls', () => {
  test('wait for their turn, are left out when aborted meanwhile, and never hold up `here`', async () => {
    await using bench = await AgentBench.open({ limit: 1 });
    const first = new AbortController();
    const { call: running, isGone } = await bench.underWay({ signal: first.signal });
    const given = new AbortController();
    const unwanted = bench.run([{ module: 'ping', args: {} }], { signal: given.signal });
    const waiting = bench.run([{ module: 'ping', args: {} }]);
    expect(await bench.agent.here(look, limits)).toMatchObject({
      status: 'ok',
      result: { jobs: [{ state: 'absent' }] },
    });
    given.abort(new Error('no longer wanted'));
    await expect(unwanted).rejects.toThrow('no longer wanted');
    expect(isGone()).toBe(false);
    first.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
    expect(await waiting).toMatchObject([{ status: 'ok' }]);
  });

  test('are all answered when there are two hundred at once', async () => {
    await using bench = await AgentBench.open({ hereLimit: 200 });
    const answers = await Promise.all(Array.from({ length: 200 }, () => bench.agent.here(look, limits)));
    expect(answers.filter(({ status }) => status === 'ok')).toHaveLength(200);
    await until('the end of their processes', () => bench.processes().length === 1);
  });

  test('go to an agent with the settings of now, and what is under way is finished by the other one', async () => {
    await using bench = await AgentBench.open({
      files: { 'playbooks/ansible.cfg': '[defaults]\ntransport = local\n' },
    });
    const asked = { inventory: 'some,', extra_vars: null, pattern: 'all' };
    const connection = async () => (await bench.agent.hosts(asked, limits)).hosts;
    expect(await connection()).toMatchObject([{ connection: 'local' }]);
    const { call: running, sleeper, isGone } = await bench.underWay();
    await bench.write({ 'playbooks/ansible.cfg': '[defaults]\ntransport = paramiko_ssh\n' });
    expect(await connection()).toMatchObject([{ connection: 'paramiko_ssh' }]);
    expect(isGone()).toBe(false);
    signal(sleeper, 'SIGTERM');
    expect(await running).toMatchObject([{ status: 'failed', result: { rc: -15 } }]);
    await until('the end of the other agent', () => bench.processes().length === 1);
  });

  test('are told why there is no agent', async () => {
    for (const python of ['/no/such/python', '/bin/false']) {
      await using bench = await AgentBench.open({ python });
      await expect(bench.agent.here(look, limits)).rejects.toBeInstanceOf(AgentDiedError);
      await expect(bench.agent.here(look, limits)).rejects.toThrow(/ENOENT|exit code 1/);
    }
  });
});

describe('the agent itself', () => {
  test('answers what it can’t read, goes on, and ends in the middle of a line with all that it started', async () => {
    await using bench = await AgentBench.open();
    const { root, python, playbooksDir, env, id } = bench.options;
    const agent = spawn(python, [path.join(root, 'python/longhaul_agent')], {
      cwd: playbooksDir,
      env: { ...env, LONGHAUL_AGENT: id },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const said: unknown[] = [];
    createInterface({ input: agent.stdout }).on('line', (line) => said.push(JSON.parse(line)));
    const seconds = ownSeconds();
    const work = { inventory: bench.here, extra_vars: null, host: 'here', become: false, timeout: 60 };
    const lines = [
      '{"id": 1, "verb": "here", ',
      '"text"',
      '[[[[',
      '',
      '{"id": 2, "verb": "unheard"}',
      '{"id": 3, "verb": "here", "module": "a b", "args": {}, "timeout": 5}',
      JSON.stringify({ id: 4, verb: 'here', ...look, timeout: 20 }),
      JSON.stringify({ id: 5, verb: 'run', ...work, tasks: [sleep(seconds)] }),
      JSON.stringify({ id: 5, verb: 'here', ...look, timeout: 20 }),
      '{"id": 6, "verb": "he',
    ];
    agent.stdin.write(lines.join('\n'));
    await until('its task', () => sleepers(seconds).length === 1);
    const invalid = { done: true, error: { kind: 'invalid' } };
    await until('an answer to what could be read', () => said.length >= 9);
    expect(said).toMatchObject([
      { ready: true },
      { id: null, ...invalid },
      { id: null, ...invalid },
      { id: null, ...invalid },
      { id: 2, ...invalid },
      { id: 3, ...invalid },
      { id: null, ...invalid },
      { id: 4, task: 0, status: 'ok' },
      { id: 4, done: true, error: null },
    ]);
    const ended = new Promise((resolve) => agent.once('close', resolve));
    agent.stdin.end();
    expect(await ended).toBe(0);
    expect(sleepers(seconds)).toEqual([]);
    expect(bench.processes()).toEqual([]);
    expect(await bench.temporary()).toEqual([]);
  });
});
