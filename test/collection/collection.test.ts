import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { loadConfig } from '../../src/config.js';

const execute = promisify(execFile);
const { root, python } = loadConfig({});
const collection = path.join(root, 'ansible_collections', 'rstyczynski', 'ansible');
const folder = mkdtempSync(path.join(os.tmpdir(), 'lh-collection-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const roles = ['cleanup', 'list', 'load', 'reserve', 'save'].map((name) => `rstyczynski.ansible.async_job_${name}`);

test('the collection is built, with all that it needs and nothing else', async () => {
  await run('ansible-galaxy', 'collection', 'build', collection, '--output-path', folder);
  const { stdout } = await execute('tar', ['-tzf', path.join(folder, 'rstyczynski-ansible-1.0.0.tar.gz')]);
  const files = stdout.trim().split('\n');
  expect(files).toEqual(
    expect.arrayContaining(['README.md', 'LICENSE', 'meta/runtime.yml', 'plugins/modules/longhaul_job.py']),
  );
  expect(files.filter((file) => /cache|\.pyc|ruff/.test(file))).toEqual([]);
});

test('its roles and modules tell their parameters', async () => {
  const told = JSON.parse(await run('ansible-doc', '-t', 'role', '--json', ...roles)) as Record<string, any>;
  expect(Object.keys(told).sort()).toEqual(roles);
  const options = Object.keys(told['rstyczynski.ansible.async_job_save'].entry_points.main.options as object);
  expect(options).toEqual(
    expect.arrayContaining(
      ['playbook_name', 'job_name', 'ansible_job_id', 'host', 'backend', 'oci_bucket', 'oci_namespace', 'metadata'].map(
        (name) => `async_job_save_${name}`,
      ),
    ),
  );
  const modules = ['longhaul_job', 'async_job_alive', 'async_job_claim', 'async_job_state'].map(
    (name) => `rstyczynski.ansible.${name}`,
  );
  expect(Object.keys(JSON.parse(await run('ansible-doc', '--json', ...modules)) as object).sort()).toEqual(
    modules.sort(),
  );
});

test('what roles run on hosts parses as Python 3.6, what else may run there as 3.8, and the rest as 3.11', async () => {
  const { stdout } = await execute(python, [path.join(import.meta.dirname, 'parses.py'), collection]);
  expect(stdout).toMatch(/^parsed \d+ files\n$/);
});

test('an old file that can not be removed keeps nobody from a reservation', async () => {
  const env = { ...process.env, PYTHONPATH: root, PYTHONDONTWRITEBYTECODE: '1' };
  const { stdout } = await execute(python, [path.join(import.meta.dirname, 'voids.py'), folder], { env });
  expect(stdout).toMatch(/^False /);
});

async function run(program: string, ...args: string[]): Promise<string> {
  const env = { PATH: `${path.dirname(python)}:${process.env.PATH}`, HOME: folder, ANSIBLE_COLLECTIONS_PATH: root };
  const { stdout } = await execute(path.join(path.dirname(python), program), args, { env, cwd: folder });
  return stdout;
}
