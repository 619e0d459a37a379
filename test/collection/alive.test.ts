import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../src/config.js';
import { carrying, signal, until } from '../service/processes.js';

const { root, python } = loadConfig({});
const ansible = path.join(path.dirname(python), 'ansible');
let home: string;
beforeAll(() => {
  home = mkdtempSync(path.join(os.tmpdir(), 'lh-alive-'));
});
afterAll(() => {
  for (const { pid } of carrying(`HOME=${home}`)) signal(pid, 'SIGKILL');
  rmSync(home, { recursive: true });
});

/** Runs a module as anybody does, with Ansible's own defaults. */
function run(module: string, args: string, ...more: string[]): Record<string, any> {
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    ANSIBLE_COLLECTIONS_PATH: root,
    ANSIBLE_LOCALHOST_WARNING: 'False',
  };
  const words = ['localhost', '-m', module, '-a', args, ...more];
  const said = execFileSync(ansible, words, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return JSON.parse(said.slice(said.indexOf('{'))) as Record<string, any>;
}

function alive(job: string, directory: string): boolean {
  const told = run('rstyczynski.ansible.async_job_alive', `ansible_job_id=${job} async_dir=${directory}`);
  return told.alive as boolean;
}

async function kill(what: string): Promise<void> {
  const those = () => carrying(`HOME=${home}`).filter(({ command }) => command.includes(what));
  await until(`${what} to run`, () => those().length > 0);
  for (const { pid } of those()) signal(pid, 'SIGSTOP');
  for (const { pid } of those()) signal(pid, 'SIGKILL');
  await until(`the end of ${what}`, () => those().length === 0);
}

test('a job is alive while its wrapper is, or what that has left; others in its directory are not taken for it', async () => {
  const start = (seconds: number): string =>
    run('ansible.builtin.command', `sleep ${seconds}`, '-B', '3600', '-P', '0').ansible_job_id as string;
  const [one, other] = [start(601), start(602)];
  // As it is recorded from `results_file`; the job itself was given the same with a ~.
  const directory = path.join(home, '.ansible_async');
  expect([one, other].map((job) => alive(job, directory))).toEqual([true, true]);
  // Before that its module is a fork of the wrapper, which looks like it.
  await until('its command', () => carrying(`HOME=${home}`).some(({ command }) => command.startsWith('sleep 601')));
  await kill(`async_wrapper.py ${one.split('.')[0]!}`);
  expect(alive(one, directory)).toBe(true);
  expect(alive(one, '~/.ansible_async/')).toBe(true);
  expect(alive(one, '/elsewhere')).toBe(false);
  await kill('sleep 601');
  expect([one, other].map((job) => alive(job, directory))).toEqual([false, true]);
});
