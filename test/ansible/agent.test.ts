import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { AnsibleAgent } from '../../src/ansible/agent/agent.js';
import { playbookCommand } from '../../src/ansible/command.js';
import { PlaybookSpec } from '../../src/job/kinds/playbook.js';
import { AgentBench } from './agent-bench.js';

describe('a call', () => {
  test('is answered task by task with what the modules answered, also after a failed one', async () => {
    await using bench = await AgentBench.open();
    const results = await bench.run([
      { module: 'ping', args: { data: 'hello' } },
      { module: 'command', args: { argv: ['sh', '-c', 'echo out; echo err >&2; exit 3'] } },
      { module: 'no_such_module', args: {} },
      { module: 'command', args: { argv: ['true'], removes: '/no/such/file' } },
    ]);
    expect(results).toMatchObject([
      { task: 0, status: 'ok', result: { ping: 'hello' } },
      { task: 1, status: 'failed', result: { failed: true, rc: 3, stdout: 'out', stderr: 'err' } },
      { task: 2, status: 'failed', result: { msg: expect.stringContaining('no_such_module') as string } },
      { task: 3, status: 'ok', result: { changed: false, rc: 0 } },
    ]);
  });

  test('carries arguments of a megabyte there and results of many back', async () => {
    await using bench = await AgentBench.open();
    const megabyte = 'x'.repeat(1_000_000);
    const many = 37_500_000;
    await bench.write({ many: Buffer.alloc(many) });
    const [echoed, printed] = await Promise.all([
      bench.run([{ module: 'ping', args: { data: megabyte } }]),
      bench.run([{ module: 'slurp', args: { src: bench.path('many') } }]),
    ]);
    expect(echoed[0]?.result.ping).toBe(megabyte);
    expect((printed[0]?.result.content as string).length).toBe((many / 3) * 4);
  });

  test('takes values as data: no template in them is evaluated, wherever they stand', async () => {
    await using bench = await AgentBench.open();
    const trap = `{{ 1 + 1 }} {{ lookup('pipe', 'touch ${bench.path('touched')}') }}`;
    const spec = PlaybookSpec.parse({
      playbook: 'any.yml',
      extra_vars: { from_job: trap },
      inventory: { all: { hosts: { here: { ansible_connection: 'local', from_inventory: trap } } } },
    });
    const { files } = playbookCommand(spec, bench.folder, { ...bench.options, inventoriesDir: bench.folder });
    await bench.write({ ...files, 'plain.json': JSON.stringify({ from_job: trap }) });
    // What users wrote themselves is evaluated, and then shows what came with the job.
    const shown = ['from_inventory', 'from_job'].map((name) => `ansible_connection: "{{ ${name} }}"\n`);
    const results = await bench.run([
      { module: 'ping', args: { data: trap } },
      { module: 'shell', args: { cmd: 'printf %s "$TRAP"' }, environment: { TRAP: trap } },
      { module: 'debug', args: { msg: trap } },
    ]);
    expect(results.map(({ result }) => result)).toMatchObject([{ ping: trap }, { stdout: trap }, { msg: trap }]);
    for (const file of shown) {
      await bench.write({ 'playbooks/host_vars/here.yml': file });
      for (const extra_vars of [bench.path('plain.json'), bench.path('extra_vars.yml')]) {
        const asked = { inventory: bench.path('inventory.yml'), extra_vars, pattern: 'all' };
        const { hosts } = await bench.agent.hosts(asked, { timeoutMs: 60_000 });
        expect(hosts).toEqual([{ name: 'here', connection: trap, shell: 'sh', becomes: false }]);
      }
    }
    expect(existsSync(bench.path('touched'))).toBe(false);
  });
});

describe('hosts', () => {
  test('are told with how they are reached: by variables, groups, files beside playbooks, and ansible.cfg', async () => {
    await using bench = await AgentBench.open({
      files: {
        'playbooks/ansible.cfg': '[defaults]\ntransport = local\n[privilege_escalation]\nbecome = true\n',
        'playbooks/group_vars/windows.yml': 'ansible_connection: winrm\n',
        'playbooks/host_vars/templated.yml':
          'ansible_connection: "{{ way }}"\nway: ansible.builtin.ssh\nansible_become: "{{ 1 > 2 }}"\n',
        'playbooks/host_vars/undefined.yml': 'ansible_connection: "{{ nowhere }}"\n',
        'hosts.ini':
          'default\ntemplated\nundefined\ncmd ansible_shell_type=cmd ansible_connection=ssh\n[windows]\nwin1\n',
      },
    });
    const asked = { inventory: bench.path('hosts.ini'), extra_vars: null };
    const { hosts } = await bench.agent.hosts({ ...asked, pattern: 'all' }, { timeoutMs: 60_000 });
    expect(hosts).toEqual([
      { name: 'default', connection: 'local', shell: 'sh', becomes: true },
      { name: 'templated', connection: 'ssh', shell: 'sh', becomes: false },
      { name: 'undefined', error: expect.stringContaining('nowhere') as string },
      { name: 'cmd', connection: 'ssh', shell: 'cmd', becomes: true },
      { name: 'win1', connection: 'winrm', shell: 'powershell', becomes: true },
    ]);
    const some = await bench.agent.hosts({ ...asked, pattern: 'windows:&all' }, { timeoutMs: 60_000 });
    expect(some.hosts.map(({ name }) => name)).toEqual(['win1']);
    await expect(bench.agent.hosts({ ...asked, pattern: 'no_such' }, { timeoutMs: 60_000 })).rejects.toMatchObject({
      kind: 'no_hosts',
    });
  });

  test('are those of now: an inventory that has changed is read anew', async () => {
    await using bench = await AgentBench.open();
    const ping = [{ module: 'ping', args: {} }];
    expect(await bench.run(ping)).toMatchObject([{ status: 'ok' }]);
    await expect(bench.run(ping, { host: 'there' })).rejects.toMatchObject({ kind: 'no_hosts' });
    const python = '{{ way_to_python }}';
    await bench.write({
      'here.ini': `there ansible_connection=local ansible_python_interpreter="${python}" way_to_python=${bench.options.python}\n`,
    });
    for (let round = 0; round < 2; round++)
      expect(await bench.run(ping, { host: 'there' })).toMatchObject([{ status: 'ok' }]);
    await expect(bench.run(ping)).rejects.toMatchObject({ kind: 'no_hosts' });
  });

  test('of an inventory that can’t be read are an error that says why', async () => {
    await using bench = await AgentBench.open({ files: { 'broken.yml': 'all: [\n' } });
    for (const [inventory, reason] of [
      [bench.path('broken.yml'), /broken\.yml/],
      [bench.path('missing.yml'), /missing\.yml/],
    ] as const) {
      const asked = { inventory, extra_vars: null, pattern: 'all' };
      const error: unknown = await bench.agent.hosts(asked, { timeoutMs: 60_000 }).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ kind: 'inventory', message: expect.stringMatching(reason) as string });
    }
  });

  test('with vaulted variables are reached when the password file is named', async () => {
    await using bench = await AgentBench.open();
    await bench.write({
      'vault-password': 'open sesame\n',
      'playbooks/host_vars/here.yml': 'ansible_connection: ssh\n',
    });
    const vault = path.join(path.dirname(bench.options.python), 'ansible-vault');
    const [password, file] = [bench.path('vault-password'), bench.path('playbooks/host_vars/here.yml')];
    execFileSync(vault, ['encrypt', '--vault-password-file', password, file], { env: bench.options.env });
    const asked = { inventory: bench.here, extra_vars: null, pattern: 'all' };
    expect((await bench.agent.hosts(asked, { timeoutMs: 60_000 })).hosts).toMatchObject([
      { error: expect.stringContaining('decrypt') as string },
    ]);
    await expect(bench.run([{ module: 'ping', args: {} }])).rejects.toMatchObject({ kind: 'inventory' });
    const opened = new AnsibleAgent({ ...bench.options, vaultPasswordFile: password });
    try {
      expect((await opened.hosts(asked, { timeoutMs: 60_000 })).hosts).toMatchObject([{ connection: 'ssh' }]);
    } finally {
      await opened.stop();
    }
  });
});
