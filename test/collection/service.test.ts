import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { also } from '../service/chaos.js';
import { until } from '../service/processes.js';
import { Service } from '../service/service.js';
import { needsSshd, Targets } from '../targets/sshd.js';
import { backends, type Served } from './backends.js';
import { Operator } from './operator.js';
import { Proxy } from './proxy.js';
import { testScenarios } from './scenarios.js';
import { Scene } from './scene.js';

const playbook = (name: string) => path.join(import.meta.dirname, 'playbooks', name);

needsSshd('a running service', () => {
  let service: Service;
  let targets: Targets;
  let cloud: Served;
  let operator: Operator;
  const folders: string[] = [];

  beforeAll(async () => {
    targets = await Targets.open({ hosts: 0, servers: 0 });
    cloud = await backends.oci();
    service = await Service.prepare({ HOME: path.join(targets.folder, 'home') });
    mkdirSync(path.join(targets.folder, 'home'));
    await service.start();
    operator = new Operator('one', targets, await backends.filesystem());
  }, 600_000);

  afterAll(async () => {
    await service.destroy();
    // A last look at hosts that were gone has made its folder for connections anew.
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
    await operator.crash();
    await cloud[Symbol.asyncDispose]();
    await targets[Symbol.asyncDispose]();
  }, 600_000);

  describe('that keeps the state of async jobs', { timeout: 600_000 }, () => {
    // Before there are other jobs: it removes all that have ended.
    test('saves, finds, lists and removes them as it finds them', async () => {
      await using scene = await open();
      const { code, output } = await scene.operator().play(playbook('jobs_in_the_service.yml'));
      expect(code, output).toBe(0);
    });

    testScenarios(open);

    /** Hosts that the service knows from a file of its own, as it would know their keys. */
    async function open(hosts = 1): Promise<Scene> {
      const own = await Targets.open({ hosts });
      folders.push(own.folder);
      const inventory = `${path.basename(own.folder)}.json`;
      copyFileSync(own.inventory, path.join(service.folder, 'inventories', inventory));
      const variables = {
        async_job_backend: 'longhaul',
        async_job_longhaul_url: service.url,
        async_job_longhaul_inventory: inventory,
      };
      const backend = { variables, env: {}, endpoint: service.url, isShared: true };
      return new Scene(own, backend, forget);
    }

    /** Ends the watching, so that the service doesn't look for hosts that are gone. */
    async function forget(): Promise<void> {
      const { body } = await service.get('/api/v1/jobs?kind=adopt&limit=100');
      const open = (body.items as { job_id: string; status: string }[]).filter(({ status }) => status.endsWith('ing'));
      const jobs = open.map(({ job_id }) => job_id);
      for (const job of jobs) await service.delete(`/api/v1/jobs/${encodeURIComponent(job)}`);
      await Promise.all(jobs.map((job) => service.ended(job)));
    }
  });

  test('runs each scenario as it is', async () => {
    const trace = service.file('trace', '');
    const gate = path.join(service.folder, 'gate');
    const cli_command = `sh -c 'echo ran >> ${trace}; until [ -e ${gate} ]; do sleep 0.1; done'`;
    const submit = (name: string, extra_vars: object, spec: object = {}) =>
      service.submit({ playbook: `scenarios/${name}.yml`, extra_vars: { cli_command, ...extra_vars }, ...spec });
    const said = async (job: { job_id: string }) => {
      const { status, result } = await service.ended(job.job_id, 300);
      const [, message] = /"msg": "(.*)"/.exec(result.stdout) ?? [];
      return `${status}, ${message}`;
    };
    const again = { name: 'basic', when_finished: 'rerun' };
    const first = [
      await submit('01_idempotent_basic', {}, again),
      await submit('02_parameterized', { cli_job_name: 'any' }),
      await submit('04_crash_detection', {}),
      await submit('05_cloud_state', {
        ...cloud.variables,
        cli_backend: 'oci',
        cli_bucket: 'jobs',
        cli_endpoint: cloud.endpoint,
      }),
    ];
    expect(await Promise.all(first.map(said))).toEqual([
      'successful, long_job: started',
      'successful, any: started',
      'successful, long_job: running',
      'successful, long_job: started',
    ]);
    expect(await said(await submit('01_idempotent_basic', {}, again))).toBe('successful, long_job: running');
    service.file('gate', '');
    const last = [
      await submit('03_wait_loop', {}),
      await submit('production_deployment', { cli_release: '2.0' }),
      await submit('01_idempotent_basic', {}, again),
    ];
    expect(await Promise.all(last.map(said))).toEqual([
      'successful, long_job: done',
      'successful, Release 2.0: successful',
      'successful, long_job: done',
    ]);
    expect(service.lines('trace')).toEqual(Array(6).fill('ran'));
  }, 600_000);

  test('does what the module says, and says what became of it', async () => {
    const { code, output } = await operator.play(playbook('service_jobs.yml'), { url: service.url });
    expect(code, output).toBe(0);
  }, 600_000);

  also(
    'may be killed while the module waits',
    async () => {
      const job = { spec: service.gated('awaited'), url: service.url };
      const { ended } = operator.start(playbook('one_service_job.yml'), job);
      await service.reaches('gate:awaited', 'running');
      service.kill('api');
      service.kill('temporal');
      service.file('awaited.gate', '');
      expect(await ended).toMatchObject({ code: 0, said: { here: 'started: successful' } });
    },
    600_000,
  );

  test('starts a run once, although the answer to the module is lost', async () => {
    const specs = [service.gated('lost'), service.gated('lost', { when_finished: 'rerun' })];
    service.file('lost.gate', '');
    for (const [before, spec] of specs.entries()) {
      await using proxy = await Proxy.losing('POST', service.url, { host: new URL(service.url).host });
      const run = await operator.play(playbook('one_service_job.yml'), { spec, url: proxy.endpoint });
      expect(run.said, run.output).toEqual({ here: 'started: successful' });
      expect(proxy.lost).toBe(1);
      await until('the runs to be listed', async () => {
        const { body } = await service.get('/api/v1/jobs/gate:lost/runs');
        return body.items?.length === before + 1;
      });
    }
  }, 600_000);
});
