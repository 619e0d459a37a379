import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../src/config.js';
import { carrying, signal, until } from '../service/processes.js';

const { root, python } = loadConfig({});
const ansible = path.join(path.dirname(python), 'ansible');
let home: string;
const keepers: ChildProcess[] = [];
beforeAll(() => {
  home = mkdtempSync(path.join(os.tmpdir(), 'lh-alive-'));
});
afterAll(async () => {
  for (const keeper of keepers) keeper.stdin?.end();
  await until('the end of all', () => {
    const left = carrying(`HOME=${home}`);
    for (const { pid } of left) signal(pid, 'SIGKILL');
    return left.length === 0;
  });
  rmSync(home, { recursive: true });
});

/** A module as anybody runs it, with Ansible's own defaults. */
const words = (module: string, args: string): string[] => [ansible, 'localhost', '-m', module, '-a', args];
const env = () => ({
  PATH: process.env.PATH,
  HOME: home,
  ANSIBLE_COLLECTIONS_PATH: root,
  ANSIBLE_LOCALHOST_WARNING: 'False',
});

/** Its job. What it leaves behind becomes a zombie when it ends. */
async function start(command: string): Promise<string> {
  const async = [...words('ansible.builtin.command', command), '-B', '3600', '-P', '0'];
  const keeper = spawn(python, [path.join(import.meta.dirname, 'unreaped.py'), ...async], {
    env: env(),
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  keepers.push(keeper);
  let said = '';
  keeper.stdout.on('data', (part: Buffer) => (said += part.toString()));
  return until(`the start of ${command}`, () => /"ansible_job_id": "(.*)"/.exec(said)?.[1] ?? false);
}

function look(job: string, directory: string): { alive?: boolean; msg?: string } {
  const [command, ...args] = words(
    'rstyczynski.ansible.async_job_alive',
    `ansible_job_id=${job} async_dir=${directory}`,
  );
  const { stdout } = spawnSync(command!, args, { env: env(), encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return JSON.parse(stdout.slice(stdout.indexOf('=> {') + 3)) as { alive?: boolean; msg?: string };
}

const alive = (job: string, directory: string): boolean | undefined => look(job, directory).alive;

async function kill(what: string): Promise<void> {
  const those = () => carrying(`HOME=${home}`).filter(({ command }) => command.includes(what));
  await until(`${what} to run`, () => those().length > 0);
  for (const { pid } of those()) signal(pid, 'SIGKILL');
  await until(`the end of ${what}`, () => those().length === 0);
}

test('a job is alive while its wrapper is, or what that has left; others in its directory are not taken for it', async () => {
  const [one, other] = [await start('sleep 601'), await start('sleep 602')];
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

test("of a job that is another user's, or that can not be seen, nothing is said", async () => {
  const number = `j${Date.now()}`;
  const asNobody = process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--clear-groups'] : [];
  const [program, ...wrapper] = [...asNobody, 'sh', '-c', 'sleep 603; true', 'async_wrapper.py', number];
  if (asNobody.length > 0) {
    spawn(program, wrapper, { env: env(), stdio: 'ignore' });
    await until('the wrapper to run', () =>
      carrying(`HOME=${home}`).some(({ command }) => command.startsWith('sh') && command.includes(number)),
    );
    expect(look(`${number}.1`, '/elsewhere').msg).toContain('is of the user with uid 65534');
  }
  symlinkSync('loop', path.join(home, 'loop'));
  expect(look('j123456789012.1', path.join(home, 'loop')).msg).toContain("can't be seen");
});
