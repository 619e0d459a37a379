import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { problemOf, unreachableApi } from './unreachable.js';

describe('a submission', () => {
  it.each(['../hello.yml', '/etc/passwd', 'a/../../hello.yml', 'a/..', '..\\hello.yml', 'hello.yml\0'])(
    'of a playbook that leaves the folder by its name is a 400: %j',
    async (playbook) => {
      const { submit } = await unreachableApi();
      const problem = await problemOf(await submit({ playbook, name: 'not a name', unknown: 1 }));
      expect(problem).toMatchObject({ status: 400, type: '/problems/invalid-playbook-name' });
      expect(problem.detail).toContain('Invalid playbook name');
    },
  );

  it('of a playbook that leaves the folder by a symbolic link is a 400', async () => {
    const { submit, folder } = await unreachableApi();
    await writeFile(path.join(folder, 'outside.yml'), '- hosts: all\n');
    await symlink(path.join(folder, 'outside.yml'), path.join(folder, 'playbooks', 'escape.yml'));
    await symlink(folder, path.join(folder, 'playbooks', 'up'));
    for (const playbook of ['escape.yml', 'up/outside.yml']) {
      expect(await problemOf(await submit({ playbook }))).toMatchObject({
        status: 400,
        title: 'Invalid playbook name',
      });
    }
  });

  it('of a playbook that is not there, or is no file, is a 404 that names it', async () => {
    const { submit, folder } = await unreachableApi();
    await mkdir(path.join(folder, 'playbooks', 'folder'));
    await symlink('circle.yml', path.join(folder, 'playbooks', 'circle.yml'));
    for (const playbook of ['nope.yml', 'folder', 'hello.yml/x', 'circle.yml']) {
      const problem = await problemOf(await submit({ playbook }));
      expect(problem).toMatchObject({ status: 404, detail: `Playbook not found: ${playbook}` });
    }
  });

  it('of an inventory file that is not below the inventories folder is a 422 that points at it', async () => {
    const { submit, folder } = await unreachableApi();
    await writeFile(path.join(folder, 'hosts'), 'a\n');
    await symlink(path.join(folder, 'hosts'), path.join(folder, 'inventories', 'escape'));
    for (const inventory of ['nope', 'escape', '../hosts', '/etc/hosts']) {
      const problem = await problemOf(await submit({ playbook: 'hello.yml', inventory }));
      expect(problem.status).toBe(422);
      expect(problem.errors[0].pointer).toBe('/inventory');
    }
  });

  it('with wrong fields is a 422 that points at each', async () => {
    const { submit } = await unreachableApi();
    const body = { playbook: 'hello.yml', nmae: 'x', name: 'a b', extra_vars: { 'a/b~c': 1 }, priority: 9 };
    const problem = await problemOf(await submit(body));
    expect(problem.status).toBe(422);
    const pointers = problem.errors.map((error: { pointer: string }) => error.pointer);
    expect(pointers.sort()).toEqual(['/extra_vars/a~1b~0c', '/name', '/nmae', '/priority']);
    expect(problem.errors).toContainEqual({ pointer: '/nmae', detail: 'unknown field' });
  });

  it('whose inline inventory is wrong points into it', async () => {
    const { submit } = await unreachableApi();
    const problem = await problemOf(await submit({ playbook: 'hello.yml', inventory: { all: { hostz: {} } } }));
    expect(problem.errors).toEqual([{ pointer: '/inventory/all/hostz', detail: 'unknown field' }]);
    const other = await problemOf(await submit({ playbook: 'hello.yml', inventory: 5 }));
    expect(other.errors).toEqual([{ pointer: '/inventory', detail: 'Invalid input: expected string or record' }]);
  });

  it('with an unknown or wrong parameter is a 422 that names it', async () => {
    const { submit } = await unreachableApi();
    for (const query of ['?snyc=true', '?sync=yes', '?wait=61', '?wait=-1', '?wait=soon']) {
      const problem = await problemOf(await submit({ playbook: 'hello.yml' }, query));
      expect(problem.status).toBe(422);
      expect(query).toContain(problem.errors[0].parameter);
    }
  });

  it.each(['', '{', 'null x', '{"playbook":"hello.yml","extra_vars":{"a":1e999}}', deep(100_000)])(
    'that is not JSON that can be kept is a 400: %.40s',
    async (body) => {
      const { submit } = await unreachableApi();
      expect(await problemOf(await submit(body))).toMatchObject({ status: 400, type: '/problems/malformed-json' });
    },
  );

  it.each(['null', '[]', '"hello.yml"', '{}'])('that is not a job is a 422: %s', async (body) => {
    const { submit } = await unreachableApi();
    expect((await submit(body)).status).toBe(422);
  });

  it('over 1 MiB is a 413, whether or not it says its length', async () => {
    const { request } = await unreachableApi();
    const body = JSON.stringify({ playbook: 'hello.yml', extra_vars: { a: 'x'.repeat(1024 * 1024) } });
    const headers = { 'content-type': 'application/json' };
    for (const length of [{ 'content-length': String(body.length) }, {}]) {
      const response = await request('/api/v1/jobs', { method: 'POST', headers: { ...headers, ...length }, body });
      expect((await problemOf(response)).status).toBe(413);
    }
  });

  it('that grows beyond what Temporal takes when it is normalized is a 413', async () => {
    const { submit } = await unreachableApi();
    const numbers = Array.from({ length: 150_000 }, () => '1e20').join(',');
    expect((await submit(`{"playbook":"hello.yml","extra_vars":{"a":[${numbers}]}}`)).status).toBe(413);
  });

  it('is a 503 with Retry-After while Temporal is away', async () => {
    const { submit } = await unreachableApi();
    const response = await submit({ playbook: 'hello.yml', name: 'x' });
    expect(response.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(await problemOf(response)).toMatchObject({ status: 503, type: '/problems/temporal-unavailable' });
  });
});

function deep(levels: number): string {
  return `{"playbook":"hello.yml","extra_vars":{"a":${'['.repeat(levels)}${']'.repeat(levels)}}}`;
}
