import { rmSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { also } from '../service/chaos.js';
import { until } from '../service/processes.js';
import type { Scene } from './scene.js';

/** What the scenarios promise wherever state is kept. */
export function testScenarios(open: (hosts?: number) => Promise<Scene>): void {
  also('1 starts the job, sees it run, sees it done, and one process ever runs on each host', async () => {
    await using scene = await open();
    const { work } = scene;
    const one = scene.operator();
    // Where state is not in the operator's own folder, it is found from another HOME and another folder.
    const other = scene.backend.isShared ? scene.operator() : one;
    const run = (operator = other) => operator.play('01_idempotent_basic.yml', { cli_hosts: 'ssh-1,here' });
    expect(await run(one)).toMatchObject({ code: 0, said: both('long_job: started') });
    expect(await run()).toMatchObject({ code: 0, said: both('long_job: running') });
    await work.end(0, 'ssh-1', 'here');
    expect(await run()).toMatchObject({ code: 0, said: both('long_job: done') });
    expect([work.begun('ssh-1'), work.begun('here')]).toEqual([1, 1]);
  });

  also('2 runs two jobs of different names side by side', async () => {
    await using scene = await open();
    const operator = scene.operator();
    const run = (job: string) =>
      operator.play('02_parameterized.yml', { cli_hosts: 'all', cli_job_name: job, cli_timeout: 600 });
    expect(await Promise.all([run('one'), run('two/..')])).toMatchObject([
      { code: 0, said: both('one: started') },
      { code: 0, said: both('two/..: started') },
    ]);
    await until('both jobs to begin', () => scene.work.begun('ssh-1') === 2 && scene.work.begun('here') === 2);
  });

  also('4 tells running, finished, failed, killed and lost apart', async () => {
    await using scene = await open(4);
    const { work, targets } = scene;
    const operator = scene.operator();
    const run = () => operator.play('04_crash_detection.yml', { cli_hosts: 'all' });
    const running = Object.fromEntries(targets.hosts.map((host) => [host, 'long_job: running']));
    expect(await run()).toMatchObject({ code: 0, said: running });
    await work.end(0, 'ssh-1');
    await work.end(3, 'ssh-2');
    await work.kill('here', 'SIGTERM');
    await work.destroy('ssh-3');
    rmSync(path.join(targets.dataOf('ssh-3'), 'async'), { recursive: true });
    await work.destroy('ssh-4');
    const { code, said } = await run();
    expect(said).toEqual({
      'ssh-1': 'long_job: finished, rc=0',
      'ssh-2': 'long_job: failed, rc=3: non-zero return code',
      'ssh-3': 'long_job: lost: no trace is left of it, as after a system crash',
      'ssh-4': 'long_job: lost: nothing of it runs, and nothing tells how it ended, as after kill -9 or a reboot',
      here: 'long_job: failed, rc=-15: killed by signal 15',
    });
    expect(code).toBe(0);
    expect(targets.hosts.map((host) => work.begun(host))).toEqual([1, 1, 1, 1, 1]);
  });
}

function both(message: string): Record<string, string> {
  return { 'ssh-1': message, here: message };
}
