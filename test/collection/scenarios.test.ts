import { existsSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { someOf } from '../service/chaos.js';
import { needsSshd } from '../targets/sshd.js';
import { backends, describeOn, type BackendName } from './backends.js';
import { testScenarios } from './scenarios.js';
import { Scene } from './scene.js';

needsSshd('the scenarios, by ansible-playbook', () => {
  for (const name of someOf(1, Object.keys(backends) as BackendName[]))
    describeOn(name, `with state on ${name}`, (fresh) => {
      testScenarios((hosts) => Scene.open(fresh(), hosts));

      if (name === 'filesystem') {
        for (const playbook of ['02_parameterized.yml', 'production_deployment.yml'])
          test(`${playbook} takes no timeout but whole seconds`, async () => {
            await using scene = await Scene.open(fresh(), 0);
            const operator = scene.operator();
            const variables = { cli_hosts: 'here', cli_job_name: 'timed', cli_command: 'touch {{ data }}/begun' };
            for (const cli_timeout of ['10m', 0]) {
              const { code, output } = await operator.play(playbook, { ...variables, cli_timeout });
              expect(output).toContain('cli_timeout is in whole seconds, more than 0');
              expect(code).toBe(2);
            }
            expect(existsSync(path.join(scene.targets.dataOf('here'), 'begun'))).toBe(false);
          });

        test('3 waits for the job, fails with it, and leaves off waiting without ending it', async () => {
          await using scene = await Scene.open(fresh(), 2);
          const { work } = scene;
          const operator = scene.operator();
          const run = operator.play('03_wait_loop.yml', { cli_hosts: 'all' });
          await work.end(0, 'ssh-1');
          await work.end(5, 'ssh-2');
          const { code, said, output } = await run;
          expect(said).toEqual({
            'ssh-1': 'long_job: done',
            here: 'long_job: running; run this again to go on waiting',
          });
          expect(output).toMatch(/fatal: \[ssh-2\]: FAILED! => \{[^}]*"msg": "long_job: failed, non-zero return code"/);
          expect(code).toBe(2);
          await work.end(0, 'here');
          expect(await operator.play('03_wait_loop.yml', { cli_hosts: 'here' })).toMatchObject({
            code: 0,
            said: { here: 'long_job: done' },
          });
          expect(work.begun('here')).toBe(1);
        });
      } else
        test('5 finds a job from another controller', async () => {
          await using scene = await Scene.open(fresh(), 0);
          const cloud = {
            cli_backend: name,
            cli_bucket: 'jobs',
            cli_endpoint: scene.backend.endpoint,
            cli_hosts: 'here',
          };
          const run = () => scene.operator().play('05_cloud_state.yml', cloud);
          expect(await run()).toMatchObject({ code: 0, said: { here: 'long_job: started' } });
          expect(await run()).toMatchObject({
            code: 0,
            said: { here: expect.stringMatching(/^long_job: running, saved by .+@/) },
          });
        });
    });
});
