import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { RealProject, recapOf, withoutChance } from './real-project.js';
import { also, someOf } from './chaos.js';
import { until } from './processes.js';
import { Service } from './service.js';

let project: RealProject;
let service: Service;
beforeAll(async () => {
  project = new RealProject();
  writeFileSync(path.join(project.playbooks, 'no_yaml.yml'), '- name: "Not closed\n  hosts: all\n');
  service = await Service.start(project.settings);
});
afterAll(async () => {
  await service.destroy();
  project.remove();
});
beforeEach(() => project.clear());

/** Runs a spec by the service, and the same by hand; what each gave, in the same terms. */
async function both(spec: object, ...arguments_: string[]) {
  const [{ job_id }, byHand] = await Promise.all([service.submit(spec), project.byHand(...arguments_)]);
  const job = await service.ended(job_id);
  const { text } = await service.get(`/api/v1/jobs/${job_id}/stdout`);
  return {
    service: { rc: job.result.rc, stats: job.result.stats, output: withoutChance(text) },
    byHand: { rc: byHand.rc, stats: recapOf(byHand.output), output: withoutChance(byHand.output) },
  };
}

const fleet = '--inventory=inventories/fleet';
const inline = {
  all: { hosts: { one: { given: 'its own' }, two: null }, children: { web: { hosts: { three: null } } } },
};

describe('a real project gives what ansible-playbook gives in its folder: output, rc, statistics', () => {
  type Case = [string, object, string[], Partial<{ rc: number; hosts: number; has: string }>];
  test.each<Case>([
    ['as it is', { playbook: 'site.yml' }, ['site.yml'], { hosts: 10, has: 'RUNNING HANDLER [web : Restart' }],
    ...someOf<Case>(3, [
      [
        'limit',
        { playbook: 'words.yml', limit: 'web,!web3,db1' },
        ['--limit=web,!web3,db1', 'words.yml'],
        { hosts: 4 },
      ],
      [
        'tags',
        { playbook: 'site.yml', tags: ['db', 'unasked'] },
        ['--tags=db,unasked', 'site.yml'],
        { has: 'stamped.stamp: <seen db1>' },
      ],
      [
        'skip_tags',
        { playbook: 'fleet.yml', skip_tags: 'module,web,common' },
        ['--skip-tags=module,web,common', 'fleet.yml'],
        { hosts: 10 },
      ],
      [
        'check and diff',
        { playbook: 'fleet.yml', check: true, diff: true, limit: 'web1,db1' },
        ['--check', '--diff', '--limit=web1,db1', 'fleet.yml'],
        { has: '+port 8080' },
      ],
      [
        'become',
        { playbook: 'playbooks/deploy.yml', become: true, limit: 'app1' },
        ['--become', '--limit=app1', 'playbooks/deploy.yml'],
        { has: 'beside the playbook in its folder, 1.2.3, tacocat, [app1]' },
      ],
      [
        'verbosity 3',
        { playbook: 'site.yml', verbosity: 3, limit: 'web2,db1' },
        ['-vvv', '--limit=web2,db1', 'site.yml'],
        { hosts: 2, has: 'Using /' },
      ],
      [
        'failures of every kind',
        { playbook: 'trouble.yml' },
        ['trouble.yml'],
        { rc: 4, hosts: 10, has: 'UNREACHABLE!' },
      ],
      [
        'a limit that leaves no host',
        { playbook: 'site.yml', limit: 'nobody' },
        ['--limit=nobody', 'site.yml'],
        { rc: 1 },
      ],
      ['a playbook that is no YAML', { playbook: 'no_yaml.yml' }, ['no_yaml.yml'], { rc: 4, has: 'ERROR' }],
      ['a file that is no playbook', { playbook: 'group_vars/web/main.yml' }, ['group_vars/web/main.yml'], { rc: 4 }],
      ['a question to whoever started it', { playbook: 'ask.yml' }, ['ask.yml'], { has: "the answer is 'None'" }],
    ]),
  ])('%s', async (_name, spec, arguments_, { rc = 0, hosts, has = '' }) => {
    const given = await both({ inventory: 'fleet', ...spec }, fleet, ...arguments_);
    expect(given.service).toEqual(given.byHand);
    expect(given.service.rc).toBe(rc);
    expect(given.service.output).toContain(has);
    if (hosts !== undefined) expect(Object.keys(given.service.stats)).toHaveLength(hosts);
  });

  test('forks: the same lines, in whatever order the hosts answer', async () => {
    const given = await both({ playbook: 'words.yml', inventory: 'fleet', forks: 5 }, fleet, '--forks=5', 'words.yml');
    const sorted = ({ output, ...rest }: { output: string }): object => ({
      ...rest,
      output: output.split('\n').sort(),
    });
    expect(sorted(given.service)).toEqual(sorted(given.byHand));
    expect(given.service.rc).toBe(0);
  });

  test('an inventory file, and the variables beside it', async () => {
    const inventory = 'fleet/hosts.yml';
    const given = await both({ playbook: 'words.yml', inventory }, `--inventory=inventories/${inventory}`, 'words.yml');
    expect(given.service).toEqual(given.byHand);
    expect(given.service.output).toContain('- 8082');
  });

  test('a host list, with what belongs to the playbook', async () => {
    const given = await both(
      { playbook: 'words.yml', inventory: 'a,b', verbosity: 3 },
      '-i',
      'a,b',
      '-vvv',
      'words.yml',
    );
    expect(given.service).toEqual(given.byHand);
    expect(given.service.output).toContain('from a list');
    const single = await both(
      { playbook: 'words.yml', inventory: 'a,', verbosity: 3 },
      '-i',
      'a,',
      '-vvv',
      'words.yml',
    );
    expect(single.service).toEqual(single.byHand);
  });

  test('an inline inventory, as a file with the same in it', async () => {
    const file = project.file('inline.json', JSON.stringify(inline));
    const given = await both({ playbook: 'words.yml', inventory: inline }, '-i', file, 'words.yml');
    expect(given.service).toEqual(given.byHand);
    expect(given.service.output).toMatch(/- its own\n[^]*\[three\][^]*- 8080/);
  });

  test('extra variables', async () => {
    const extra_vars = { given: [{ nested: ['values', 1, true, null] }], ansible_connection: 'local' };
    const option = `--extra-vars=${JSON.stringify(extra_vars)}`;
    const given = await both({ playbook: 'words.yml', inventory: 'a,', extra_vars }, '-i', 'a,', option, 'words.yml');
    expect(given.service).toEqual(given.byHand);
    expect(given.service.output).toContain('nested');
  });
});

also('a vault password can come from a program; a folder that everybody may write to is warned of', async () => {
  const open = new RealProject();
  chmodSync(open.playbooks, 0o777);
  const program = open.file('vault-program', `#!/bin/sh\ncat ${open.passwordFile}\n`);
  chmodSync(program, 0o700);
  const other = await Service.start({ ...open.settings, VAULT_PASSWORD_FILE: program });
  try {
    await until('the warning', () => other.output.includes(`Ansible ignores ${open.playbooks}/ansible.cfg`));
    const spec = { playbook: 'fleet.yml', inventory: 'fleet', tags: 'db', limit: 'db1' };
    const job = await other.ended((await other.submit(spec)).job_id);
    const byHand = await open.byHand(fleet, '--tags=db', '--limit=db1', 'fleet.yml');
    expect(job.result).toMatchObject({ rc: 0, stdout: byHand.output });
    expect(job.result.stdout).toMatch(/world writable directory[^]*<seen db1>/);
  } finally {
    await other.destroy();
    open.remove();
  }
});

test('a vault password file that is not there stops the start, and is named', async () => {
  const other = await Service.prepare({ ...project.settings, VAULT_PASSWORD_FILE: '/nonexistent/password' });
  try {
    await expect(other.start()).rejects.toThrow(
      "VAULT_PASSWORD_FILE=/nonexistent/password can't be used: there is no such file.",
    );
  } finally {
    await other.destroy();
  }
});

test('the list has the playbooks of a project, and says which can not be read', async () => {
  const { items } = (await service.get('/api/v1/playbooks')).body;
  const names = ['ask.yml', 'fleet.yml', 'no_yaml.yml', 'playbooks/deploy.yml', 'site.yml', 'trouble.yml', 'words.yml'];
  expect(items.map(({ playbook }: { playbook: string }) => playbook)).toEqual(names);
  expect(items.filter(({ error }: { error: string | null }) => error !== null)).toMatchObject([
    { playbook: 'no_yaml.yml', plays: [], error: expect.stringMatching(/quote/i) },
  ]);
});
