import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { also, chaos, seeded } from './chaos.js';
import { until } from './processes.js';
import { Service } from './service.js';
import { startTemporal, type TemporalServer } from './temporal-server.js';

interface Run {
  job_id: string;
  run_id: string;
}

let service: Service;

/** A run that has ended; Temporal may have dropped it already. */
async function finished(spec: object): Promise<Run> {
  const run = await service.submit(spec);
  await until(`the end of ${run.job_id}`, async () => {
    const { status, body } = await service.get(`/api/v1/jobs/${run.job_id}?wait=5`);
    return status === 404 || body.status === 'successful';
  });
  return run;
}

const again = { playbook: 'hello.yml', when_finished: 'rerun' };
const filesOf = (run: Run): string => path.dirname(service.attemptFolder(run));
const runsOf = async (jobId: string): Promise<string[]> =>
  (await service.get(`/api/v1/jobs/${jobId}/runs`)).body.items.map(({ run_id }: Run) => run_id);

/** Whether Temporal has a run. */
async function isKnown(client: Client, { job_id, run_id }: Run): Promise<boolean> {
  try {
    await client.workflow.getHandle(`default/${job_id.replace(':', '/')}`, run_id).describe();
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

describe('where Temporal keeps closed runs for 12 s only', () => {
  let server: TemporalServer;
  beforeAll(async () => {
    server = await startTemporal(12_000);
    // Beyond the clean-up at the worker's start there is none.
    service = await Service.start({ ...server.environment, CLEANUP_INTERVAL: '86400' });
  });
  afterAll(async () => {
    await service.destroy();
    await server.end();
  });

  it('a ttl that is longer is refused, with the limit, and the default is bounded by it', async () => {
    const refused = await service.post('/api/v1/jobs', { playbook: 'hello.yml', ttl: 12 });
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: '/ttl' }] } });
    expect(refused.body.detail).toContain('at most 10 s');
    expect((await service.post('/api/v1/jobs', { playbook: 'hello.yml', ttl: 24 * 3600 })).status).toBe(422);

    const open = await service.submit(service.gated('bounded'));
    const { memo } = await server.client.workflow.getHandle('default/gate/bounded').describe();
    expect(memo).toMatchObject({ ttl: 10 });
    await service.reaches(open.job_id, 'running');
    service.file('bounded.gate', '');
  });

  also(
    'a job that Temporal has dropped is not found, its name is free, and its files go with the next clean-up',
    async () => {
      const spec = { playbook: 'hello.yml', name: 'dropped' };
      const run = await finished(spec);
      await until('Temporal to drop it', async () => !(await isKnown(server.client, run)));
      expect((await service.get('/api/v1/jobs/hello:dropped')).status).toBe(404);
      expect(existsSync(filesOf(run))).toBe(true);
      const next = await service.submit(spec);
      expect(next).toMatchObject({ created: true, run_id: expect.not.stringMatching(run.run_id) });
      await service.ended(next.job_id);

      service.kill('worker');
      await until('its files to be gone', () => !existsSync(filesOf(run)));
    },
  );

  also('the runs of a job are those that are left, and its open run goes on', async () => {
    const first = await finished({ ...again, name: 'rerun' });
    const gate = path.join(service.folder, 'rerun.gate');
    const spec = { playbook: 'gate.yml', playbook_name: 'hello', name: 'rerun', when_finished: 'rerun' };
    const second = await service.submit({ ...spec, extra_vars: { trace: `${gate}.trace`, gate } });
    expect(await runsOf('hello:rerun')).toContain(second.run_id);
    await until('Temporal to drop the first run', async () => !(await isKnown(server.client, first)));
    expect(await runsOf('hello:rerun')).toEqual([second.run_id]);
    expect((await service.get(`/api/v1/jobs/hello:rerun?run=${first.run_id}`)).status).toBe(404);
    service.file('rerun.gate', '');
    expect(await service.ended('hello:rerun')).toMatchObject({ status: 'successful', run_id: second.run_id });
  });
});

describe('DELETE of a finished job', () => {
  let client: Client;
  beforeAll(async () => {
    service = await Service.start();
    client = await service.temporal();
  });
  afterAll(() => service.destroy());

  const { rounds, seed } = chaos(1, 15);

  it(`that is killed at random, and repeated, leaves none of its runs and no file, ${rounds} times (seed ${seed})`, async () => {
    const random = seeded(seed);
    for (let round = 0; round < rounds; round++) {
      const spec = { ...again, name: `thrice-${round}` };
      const runs = [await finished(spec), await finished(spec), await finished(spec)];
      const { job_id } = runs[0]!;
      const first = service.delete(`/api/v1/jobs/${job_id}`).catch(() => undefined);
      await delay(random() * 3000);
      service.kill('api');
      await first;
      await service.ready();
      const answer = await until('the deletion to be answered', async () => {
        const { status } = await service.delete(`/api/v1/jobs/${job_id}`);
        return status !== 503 && status;
      });
      // Gone already, if it was killed right before its answer.
      expect([204, 404]).toContain(answer);
      for (const run of runs) {
        expect(await isKnown(client, run)).toBe(false);
        expect(existsSync(filesOf(run))).toBe(false);
      }
      expect((await service.get(`/api/v1/jobs/${job_id}`)).status).toBe(404);
    }
  }, 600_000);

  also('takes older runs that its name no longer finds, and their files', async () => {
    const spec = { ...again, name: 'headless' };
    const older = await finished(spec);
    const latest = await finished(spec);
    await client.workflowService.deleteWorkflowExecution({
      namespace: 'default',
      workflowExecution: { workflowId: 'default/hello/headless', runId: latest.run_id },
    });
    await until('the latest run to be gone', async () => !(await isKnown(client, latest)));
    expect((await service.get('/api/v1/jobs/hello:headless')).status).toBe(404);
    expect(await isKnown(client, older)).toBe(true);

    expect((await service.delete('/api/v1/jobs/hello:headless')).status).toBe(204);
    expect(await isKnown(client, older)).toBe(false);
    for (const run of [older, latest]) expect(existsSync(filesOf(run))).toBe(false);
    expect((await service.delete('/api/v1/jobs/hello:headless')).status).toBe(404);
  });

  also('does nothing to a run that begins meanwhile', async () => {
    for (let round = 0; round < rounds; round++) {
      const spec = { ...again, name: `raced-${round}` };
      const former = await finished(spec);
      const [removed, started] = await Promise.all([
        service.delete(`/api/v1/jobs/${former.job_id}?run=${former.run_id}`),
        delay(round * 5).then(() => service.submit(spec)),
      ]);
      // 409 if the new run was there first.
      expect([204, 409]).toContain(removed.status);
      expect(started.run_id).not.toBe(former.run_id);
      expect(await service.ended(started.job_id)).toMatchObject({
        status: 'successful',
        run_id: started.run_id,
        output_available: true,
      });
      expect(existsSync(filesOf(former))).toBe(removed.status === 409);
    }
  });
});
