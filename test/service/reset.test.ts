import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Client } from '@temporalio/client';
import proto from '@temporalio/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { also } from './chaos.js';
import { signal, until } from './processes.js';
import { resetTo, type ResetOptions } from './reset.js';
import { Service, type Answer } from './service.js';

const { RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL } = proto.temporal.api.enums.v1.ResetReapplyExcludeType;

/** Two nodes, so that a run that is placed anew could well be placed elsewhere. */
let first: Service;
let second: Service;
let client: Client;
beforeAll(async () => {
  first = await Service.start({ MAX_CONCURRENT_PLAYBOOKS: '2' });
  second = await Service.start({ TEMPORAL_ADDRESS: first.temporalAddress, MAX_CONCURRENT_PLAYBOOKS: '2' });
  client = await first.temporal();
});
afterAll(async () => {
  await second.destroy();
  await first.destroy();
});

/** Resets a run of a job (the latest if not given) to its nth workflow task; the run that goes on. */
const reset = (name: string, nth: number, options: ResetOptions = {}, run?: string): Promise<string> =>
  resetTo(client, `default/gate/${name}`, nth, options, run);

const copies = (job: Answer['body']): number =>
  new Set(
    [...first.alive(job), ...first.alive(job, 2)].map(({ environment }) =>
      environment.find((entry) => entry.startsWith('LONGHAUL_ATTEMPT=')),
    ),
  ).size;

async function begin(name: string): Promise<Answer['body']> {
  const job = await first.submit(first.gated(name));
  await until('it to have begun', () => existsSync(path.join(first.folder, name)));
  await first.reaches(job.job_id, 'running');
  return job;
}

async function endsOnce(job: Answer['body'], name: string, runId: string): Promise<void> {
  first.file(`${name}.gate`, '');
  const ended = await first.ended(job.job_id);
  expect(ended).toMatchObject({ status: 'successful', attempt: 1, run_id: runId });
  expect(first.lines(name)).toEqual(['begun', 'passed']);
  await until('its supervisor to be gone', () => copies(job) === 0);
}

describe('a Reset in Temporal', () => {
  it.each([
    ['before it was placed', 0],
    ['after it was placed', 1],
    ['to where it is now', -1],
  ] as const)('of a running job to a point %s: the same copy goes on, and no other', async (where, nth) => {
    const name = `reset${nth}`;
    const job = await begin(name);
    const before = await first.job(job.job_id);
    const runId = await reset(name, nth);
    const after = await until('the new run to watch it', async () => {
      const document = await first.job(job.job_id);
      return document.run_id === runId && document.status === 'running' && document;
    });
    expect(after, where).toMatchObject({ node: before.node, started_at: before.started_at });
    expect(copies(job)).toBe(1);
    expect((await first.get(`/api/v1/jobs/${job.job_id}?run=${job.run_id}`)).body).toMatchObject({
      status: 'canceled',
      error: expect.stringContaining(runId),
    });
    await endsOnce(job, name, runId);
  });

  also('again and again, with the worker killed between: still one copy', async () => {
    const job = await begin('often');
    let runId = '';
    for (let round = 0; round < 4; round++) {
      runId = await reset('often', round % 2);
      if (round === 2) for (const service of [first, second]) service.kill('worker');
    }
    await until('the last run to watch it', async () => {
      const document = await first.job(job.job_id);
      return document.run_id === runId && document.status === 'running';
    });
    expect(copies(job)).toBe(1);
    await endsOnce(job, 'often', runId);
  });

  it('of a finished job gives the same answer, and runs nothing', async () => {
    const job = await begin('finished');
    first.file('finished.gate', '');
    const before = await first.ended(job.job_id);
    const runId = await reset('finished', 0);
    const after = await until('the new run to end', async () => {
      const document = await first.job(job.job_id);
      return document.run_id === runId && document.status === 'successful' && document;
    });
    expect(after.result.stats).toEqual(before.result.stats);
    expect(after.finished_at).toBe(before.finished_at);
    expect(first.lines('finished')).toEqual(['begun', 'passed']);
  });

  also('of an older run: DELETE of the job leaves none of its runs', async () => {
    first.file('older.gate', '');
    const runs: string[] = [];
    for (let n = 0; n < 2; n++) {
      const { job_id, run_id } = await first.submit(first.gated('older', { when_finished: 'rerun' }));
      await first.ended(job_id);
      runs.push(run_id);
    }
    runs.push(await reset('older', 0, {}, runs[0]));
    await until('the new run to end', async () => {
      const document = await first.job('gate:older');
      return document.run_id === runs.at(-1) && document.status === 'successful';
    });
    expect((await first.delete('/api/v1/jobs/gate:older')).status).toBe(204);
    for (const run of runs) expect((await first.get(`/api/v1/jobs/gate:older?run=${run}`)).status).toBe(404);
    await until('them to be listed no more', async () => {
      const { status, body } = await first.get('/api/v1/jobs?name=older');
      return status === 200 && body.items.length === 0;
    });
  });

  it('of a running job before it was placed, canceled at once: nothing of it lives when it says canceled', async () => {
    const job = await begin('canceled');
    await reset('canceled', 0);
    await first.post(`/api/v1/jobs/${job.job_id}/cancel`);
    expect(await first.ended(job.job_id)).toMatchObject({ status: 'canceled' });
    expect(copies(job)).toBe(0);
    expect(first.lines('canceled')).toEqual(['begun']);
  });

  also('of a running job of a tenant with a limit, canceled before it is admitted again: likewise', async () => {
    const limited = await first.secondApi({ MAX_CONCURRENT_PER_TENANT: '1' });
    const job = (await first.post(`${limited}/api/v1/jobs`, first.gated('admitted'))).body;
    await until('it to have begun', () => existsSync(path.join(first.folder, 'admitted')));
    const workers = [first, second].flatMap((service) => service.processesOf('worker'));
    for (const { pid } of workers) signal(pid, 'SIGSTOP');
    await reset('admitted', 0, { resetReapplyExcludeTypes: [RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL] });
    await first.post(`/api/v1/jobs/${job.job_id}/cancel`);
    for (const { pid } of workers) signal(pid, 'SIGCONT');
    expect(await first.ended(job.job_id)).toMatchObject({ status: 'canceled' });
    expect(copies(job)).toBe(0);
    expect(first.lines('admitted')).toEqual(['begun']);
  });

  also('of a job whose second attempt runs, canceled before it comes to that: likewise', async () => {
    const retry = { max_attempts: 2, backoff: [15], on: ['lost', 'killed'] };
    const job = await first.submit(first.gated('second', { retry }));
    const second = path.join(first.folder, 'second');
    await until('it to have begun', () => existsSync(second));
    for (const { pid } of first.alive(job)) signal(pid, 'SIGKILL');
    await until('its second attempt to have begun', () => first.lines('second').length === 2);
    await reset('second', 0);
    await until('the new run to wait for its second attempt', async () => {
      const { status, progress } = await first.job(job.job_id);
      return status === 'pending' && progress?.stage === 'waiting';
    });
    expect(copies(job)).toBe(1);
    await first.post(`/api/v1/jobs/${job.job_id}/cancel`);
    expect(await first.ended(job.job_id)).toMatchObject({ status: 'canceled', attempt: 2 });
    expect(copies(job)).toBe(0);
    expect(first.lines('second')).toEqual(['begun', 'begun']);
  });

  also(
    'of a running job whose former run is deleted before a worker reads it: lost, and what runs is ended',
    async () => {
      const job = await begin('forgotten');
      const workers = [first, second].flatMap((service) => service.processesOf('worker'));
      for (const { pid } of workers) signal(pid, 'SIGSTOP');
      await reset('forgotten', 0);
      const former = { workflowId: 'default/gate/forgotten', runId: job.run_id };
      await client.workflowService.deleteWorkflowExecution({ namespace: 'default', workflowExecution: former });
      await until('the former run to be gone', () =>
        client.workflow
          .getHandle(former.workflowId, former.runId)
          .describe()
          .then(
            () => false,
            () => true,
          ),
      );
      for (const { pid } of workers) signal(pid, 'SIGCONT');
      expect(await first.ended(job.job_id)).toMatchObject({
        status: 'failed',
        failure: { kind: 'lost', message: expect.stringContaining(job.run_id) },
      });
      await until('nothing of it to live', () => copies(job) === 0);
      expect(first.lines('forgotten')).toEqual(['begun']);
    },
  );

  also('of a running job while no node has a free slot: it goes on all the same', async () => {
    const fillers = ['full-1', 'full-2', 'full-3'];
    for (const name of fillers) await begin(name);
    const job = await begin('full');
    const runId = await reset('full', 0);
    await until('the new run to watch it', async () => {
      const document = await first.job(job.job_id);
      return document.run_id === runId && document.status === 'running';
    });
    await endsOnce(job, 'full', runId);
    for (const name of fillers) {
      first.file(`${name}.gate`, '');
      await first.ended(`gate:${name}`);
    }
  });

  also('of a job that waits for a slot starts it once', async () => {
    const fillers = ['fill-1', 'fill-2', 'fill-3', 'fill-4'];
    for (const name of fillers) await begin(name);
    const job = await first.submit(first.gated('waiting'));
    await until('it to wait', async () => (await first.job(job.job_id)).progress?.stage === 'placing');
    const runId = await reset('waiting', 0);
    for (const name of fillers) first.file(`${name}.gate`, '');
    await endsOnce(job, 'waiting', runId);
  });
});
