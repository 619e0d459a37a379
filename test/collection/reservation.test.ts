import type { ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { livingProcesses, until } from '../service/processes.js';
import { needsSshd } from '../targets/sshd.js';
import { also, chaos, seeded, someOf } from '../service/chaos.js';
import { backends, describeOn, type BackendName } from './backends.js';
import type { Operator, Run } from './operator.js';
import { Scene } from './scene.js';

const deployment = 'production_deployment.yml';
const onBoth = { cli_hosts: 'ssh-1,here' };
/** Who comes next doesn't wait until a reservation has expired. */
const impatient = { ...onBoth, async_job_reserve_expires_after: 0 };

needsSshd('a deployment', () => {
  for (const name of someOf(1, Object.keys(backends) as BackendName[])) {
    describeOn(name, `with state on ${name}`, (fresh) => {
      test('that two start at once is started by one, and finished by a third', async () => {
        await using scene = await Scene.open(fresh());
        const shared = name === 'filesystem' ? { async_job_root: scene.targets.folder + '/shared' } : {};
        const run = (retries: number) =>
          scene.operator().play(deployment, { ...onBoth, ...shared, cli_retries: retries });
        await Promise.all([run(1), run(1)]);
        expect(begun(scene)).toEqual([1, 1]);
        await finished(run(15), scene);
        expect(begun(scene)).toEqual([1, 1]);
      });
    });
  }

  describeOn('filesystem', 'with state in files', (fresh) => {
    also('whose controller is killed between reservation and start is started by the next one', async () => {
      await using scene = await Scene.open(fresh());
      const operator = scene.operator();
      const killed = await operator.play(deployment, impatient, { SIGNAL_AT: 'KILL Start the deployment' });
      expect([killed.code, ...begun(scene)]).toEqual([null, 0, 0]);
      await finished(operator.start(deployment, impatient).ended, scene);
      expect(begun(scene)).toEqual([1, 1]);
    });

    also('whose controller is killed between start and save is found by the next one', async () => {
      await using scene = await Scene.open(fresh());
      const operator = scene.operator();
      const killed = await operator.play(deployment, impatient, { SIGNAL_AT: 'KILL Read the reservation' });
      expect(killed.code).toBeNull();
      await finished(operator.start(deployment, impatient).ended, scene);
      expect(begun(scene)).toEqual([1, 1]);
    });

    also('is not started by a controller that was frozen while its reservation was given up', async () => {
      await using scene = await Scene.open(fresh());
      const operator = scene.operator();
      const late = operator.start(deployment, impatient, { SIGNAL_AT: 'STOP Start the deployment' });
      await frozen(late.process);
      await finished(operator.start(deployment, impatient).ended, scene);
      late.process.kill('SIGCONT');
      expect((await late.ended).code).not.toBe(0);
      expect(begun(scene)).toEqual([1, 1]);
    });

    also(
      'that was found and finished by the next one is known to its controller, however late that saves it',
      async () => {
        await using scene = await Scene.open(fresh());
        const operator = scene.operator();
        const late = operator.start(deployment, impatient, { SIGNAL_AT: 'STOP Read the reservation' });
        await frozen(late.process);
        await finished(operator.start(deployment, impatient).ended, scene);
        // Also from where it reads the reservation once more.
        const going = setInterval(() => late.process.kill('SIGCONT'), 200);
        expect(await late.ended).toMatchObject({ code: 0, said: deployed() });
        clearInterval(going);
        expect(await operator.play(deployment, impatient)).toMatchObject({ code: 0, said: deployed() });
        expect(begun(scene)).toEqual([1, 1]);
      },
    );

    also('that fails while its controller is frozen fails for that one too', async () => {
      await using scene = await Scene.open(fresh());
      const operator = scene.operator();
      // Where it has saved the deployment; and where it would record the end, if it were to.
      const late = operator.start(deployment, impatient, { SIGNAL_AT: 'STOP started outside its reservation' });
      await frozen(late.process);
      await scene.work.end(3, 'ssh-1', 'here');
      expect((await operator.play(deployment, impatient)).code).toBe(2);
      const going = setInterval(() => late.process.kill('SIGCONT'), 200);
      const { code, output } = await late.ended;
      clearInterval(going);
      expect(output).toContain('Release 1.0.0 was not deployed: failed');
      expect(code).toBe(2);
    });

    also('that succeeded long ago is not started again', async () => {
      await using scene = await Scene.open(fresh(), 0);
      const operator = scene.operator();
      const run = () => operator.start(deployment, { cli_hosts: 'here' }).ended;
      const first = run();
      await scene.work.end(0, 'here');
      expect(await first).toMatchObject({ code: 0 });
      age(operator, 31);
      expect([(await run()).code, (await run()).code]).toEqual([0, 0]);
      expect(scene.work.begun('here')).toBe(1);
    });

    also('is not started in check mode', async () => {
      await using scene = await Scene.open(fresh(), 0);
      const operator = scene.operator();
      const run = (...options: string[]) =>
        operator.play(deployment, { cli_hosts: 'here', cli_retries: 0 }, {}, ...options);
      expect(await run('--check')).toMatchObject({ code: 0, said: { here: 'Release 1.0.0: due' } });
      expect(scene.work.begun('here')).toBe(0);
      await run();
      expect(await run('--check')).toMatchObject({ code: 0, said: { here: 'Release 1.0.0: running' } });
      expect(scene.work.begun('here')).toBe(1);
    });

    test('is started once, however often its controllers are killed', async () => {
      await using scene = await Scene.open(fresh());
      const operator = scene.operator();
      const { rounds, seed } = chaos(3, 40);
      const random = seeded(seed);
      for (let kill = 0; kill < rounds; kill += 1) {
        const { ended } = operator.start(deployment, impatient);
        await Promise.race([ended, delay(random() * 12_000)]);
        await operator.crash();
        await ended;
      }
      await finished(operator.start(deployment, impatient).ended, scene);
      expect(begun(scene)).toEqual([1, 1]);
    }, 1_800_000);
  });
});

function frozen({ pid }: ChildProcess): Promise<boolean> {
  return until('the controller to freeze', () => livingProcesses().some((one) => one.pid === pid && one.state === 'T'));
}

/** What is recorded of the deployment on the controller itself was recorded so many days ago. */
function age(operator: Operator, days: number): void {
  const file = path.join(operator.folder, '.ansible_async_state', 'here', 'Production deployment', 'deploy.json');
  const document = JSON.parse(readFileSync(file, 'utf8')) as { saved_at: string };
  document.saved_at = new Date(Date.parse(document.saved_at) - days * 86_400_000).toISOString().replace('Z', '000Z');
  writeFileSync(file, JSON.stringify(document));
}

/** Lets the work end, and expects the run to tell its success. */
async function finished(run: Promise<Run>, { work }: Scene): Promise<void> {
  await work.end(0, 'ssh-1', 'here');
  expect(await run).toMatchObject({ code: 0, said: deployed() });
}

function begun({ work }: Scene): number[] {
  return [work.begun('ssh-1'), work.begun('here')];
}

function deployed(): Record<string, string> {
  return { 'ssh-1': 'Release 1.0.0: successful', here: 'Release 1.0.0: successful' };
}
