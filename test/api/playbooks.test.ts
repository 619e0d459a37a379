import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { listPlaybooks, readPlaybook } from '../../src/api/playbook-list.js';
import { temporaryFolder, unreachableApi } from './unreachable.js';

const play = '- name: A play\n  hosts: all\n';

describe('the list of playbooks', () => {
  it('has the files that are lists of plays, and no parts of playbooks', async () => {
    const folder = await temporaryFolder();
    const files = {
      'site.yml': play,
      'a/deep.yaml': `${play}- import_playbook: ../site.yml\n`,
      'roles/x/tasks/main.yml': play,
      'group_vars/all.yml': 'a: 1\n',
      'tasks/part.yml': play,
      'a/vars/x.yml': play,
      'collections/ansible_collections/a/b/playbooks/x.yml': play,
      'filter_plugins/x.yml': play,
      'roles/x/tasks/broken.yml': '- hosts: [\n',
      '.hidden/x.yml': play,
      '.x.yml': play,
      'vars.yml': 'a: 1\n',
      'tasks.yml': '- debug:\n    msg: x\n',
      'inventory.yml': 'all:\n  hosts:\n    a:\n',
      'vaulted.yml': '$ANSIBLE_VAULT;1.1;AES256\n616263\n',
      'empty.yml': '',
      'notes.txt': play,
    };
    for (const [file, content] of Object.entries(files)) {
      await mkdir(path.join(folder, path.dirname(file)), { recursive: true });
      await writeFile(path.join(folder, file), content);
    }
    expect(await listPlaybooks(folder)).toEqual([
      { playbook: 'a/deep.yaml', plays: ['A play', 'import ../site.yml'], error: null },
      { playbook: 'site.yml', plays: ['A play'], error: null },
    ]);
  });

  it('tells in a line why a file that should be a playbook is none', async () => {
    const folder = await temporaryFolder();
    const files = {
      'broken.yml': '- hosts: all\n  tasks: [\n',
      'mixed.yml': `${play}- debug:\n    msg: x\n`,
      'template.yml': '- hosts: all\n  vars:\n    a: {{ b }} c\n',
    };
    for (const [file, content] of Object.entries(files)) await writeFile(path.join(folder, file), content);
    expect(await listPlaybooks(folder)).toEqual([
      { playbook: 'broken.yml', plays: [], error: expect.stringMatching(/^.*\] at line 3, column 1$/) },
      {
        playbook: 'mixed.yml',
        plays: [],
        error: 'Entry 2 of the list is not a play: it has neither hosts nor import_playbook',
      },
      { playbook: 'template.yml', plays: [], error: expect.stringMatching(/^.* at line 3, column \d+$/) },
    ]);
  });

  it('has nothing from outside, and ends where links lead in a circle', async () => {
    const outside = await temporaryFolder();
    await writeFile(path.join(outside, 'foreign.yml'), play);
    const folder = await temporaryFolder();
    await writeFile(path.join(folder, 'own.yml'), play);
    await symlink('own.yml', path.join(folder, 'alias.yml'));
    await symlink(path.join(outside, 'foreign.yml'), path.join(folder, 'foreign.yml'));
    await symlink(outside, path.join(folder, 'outside'));
    await symlink('.', path.join(folder, 'again'));
    await symlink('nowhere.yml', path.join(folder, 'dangling.yml'));
    expect((await listPlaybooks(folder)).map(({ playbook }) => playbook)).toEqual(['alias.yml', 'own.yml']);
  });

  it('is empty where there is no folder', async () => {
    expect(await listPlaybooks('/nonexistent/playbooks')).toEqual([]);
  });

  it('reads plays with tags of Ansible, and without names', () => {
    const text = '- hosts: web\n  vars:\n    a: !vault |\n      x\n    b: !unsafe "{{ x }}"\n    b: again\n';
    expect(readPlaybook(text)).toEqual({ plays: ['hosts: web'], error: null });
  });

  it('is served', async () => {
    const { request } = await unreachableApi();
    expect(await (await request('/api/v1/playbooks')).json()).toEqual({
      items: [{ playbook: 'hello.yml', plays: ['Hello'], error: null }],
    });
  });
});
