import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { also, chaos } from './chaos.js';
import { until } from './processes.js';
import { Service, type Answer } from './service.js';

let service: Service;
beforeAll(async () => {
  service = await Service.start();
});
afterAll(() => service.destroy());

const submit = (spec: object): Promise<Answer> => service.post('/api/v1/jobs', spec);

it('50 clients that submit one name at once through two API processes get one run', async () => {
  const urls = [service.url, await service.secondApi()];
  const spec = service.gated('race');
  let refused = 0;
  const submitted = async (url = ''): Promise<Answer> => {
    for (;;) {
      const answer = await service.post(`${url}/api/v1/jobs`, spec);
      if (answer.status !== 503) return answer;
      refused += 1;
      await delay(Number(answer.headers.get('retry-after')) * 1000);
    }
  };
  const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => submitted(urls[i % 2])));
  // Who was told 503 may have created it all the same.
  const created = answers.filter(({ body }) => body.created);
  expect([refused === 0 ? 1 : 0, 1]).toContain(created.length);
  expect(answers.map(({ status }) => status).sort()).toEqual([
    ...Array<number>(50 - created.length).fill(200),
    ...created.map(() => 202),
  ]);
  expect(new Set(answers.map(({ body }) => `${body.job_id} ${body.run_id}`)).size).toBe(1);
  service.file('race.gate', '');
  await service.ended('gate:race');
  expect(service.lines('race')).toEqual(['begun', 'passed']);
});

it('a running name is answered with its job; another spec conflicts and changes nothing', async () => {
  const first = await submit(service.gated('busy'));
  const again = await submit(
    service.gated('busy', { priority: 1, metadata: { by: 'another' }, when_finished: 'rerun' }),
  );
  expect(again.status).toBe(200);
  expect(again.body).toMatchObject({ created: false, run_id: first.body.run_id });
  const other = await submit(service.gated('busy', { check: true, forks: 7 }));
  expect(other.status).toBe(409);
  expect(other.body.type).toContain('job-conflict');
  expect(other.body.detail).toContain('check');
  expect(other.body.detail).toContain('forks');
  service.file('busy.gate', '');
  expect(await service.ended('gate:busy')).toMatchObject({ status: 'successful', run_id: first.body.run_id });
});

it('a finished name is returned, or run again where that is asked for', async () => {
  const first = await submit({ playbook: 'hello.yml', name: 'again' });
  await service.ended('hello:again');
  const returned = await submit({ playbook: 'hello.yml', name: 'again' });
  expect(returned.status).toBe(200);
  expect(returned.body).toMatchObject({ created: false, run_id: first.body.run_id, status: 'successful' });
  expect((await submit({ playbook: 'hello.yml', name: 'again', forks: 2 })).status).toBe(409);

  const unneeded = await submit({ playbook: 'hello.yml', name: 'again', when_finished: 'rerun_if_failed' });
  expect(unneeded.status).toBe(200);
  expect(
    (await submit({ playbook: 'hello.yml', name: 'again', when_finished: 'rerun_if_failed', forks: 2 })).status,
  ).toBe(409);

  const rerun = await submit({ playbook: 'hello.yml', name: 'again', when_finished: 'rerun', forks: 2 });
  expect(rerun.status).toBe(202);
  expect(rerun.body.run_id).not.toBe(first.body.run_id);
  await service.ended('hello:again');
  const { body } = await service.get('/api/v1/jobs/hello:again/runs');
  expect(body.items.map((run: { run_id: string }) => run.run_id).sort()).toEqual(
    [first.body.run_id, rerun.body.run_id].sort(),
  );
  expect((await service.get(`/api/v1/jobs/hello:again?run=${first.body.run_id}`)).body.run_id).toBe(first.body.run_id);
});

also('a failed or canceled name is run again by rerun_if_failed, also with another spec', async () => {
  await submit({ playbook: 'failing.yml', name: 'retry' });
  await service.ended('failing:retry');
  expect((await submit({ playbook: 'failing.yml', name: 'retry' })).status).toBe(200);
  expect(
    (await submit({ playbook: 'failing.yml', name: 'retry', when_finished: 'rerun_if_failed', forks: 3 })).status,
  ).toBe(202);
  await service.ended('failing:retry');

  await submit(service.gated('stopped'));
  await service.reaches('gate:stopped', 'running');
  expect((await service.post('/api/v1/jobs/gate:stopped/cancel')).status).toBe(202);
  expect((await service.ended('gate:stopped')).status).toBe('canceled');
  expect((await submit(service.gated('stopped', { when_finished: 'rerun_if_failed' }))).status).toBe(202);
  service.file('stopped.gate', '');
  expect((await service.ended('gate:stopped')).status).toBe('successful');
});

also('a rerun of a run that is just closing waits for it, and then starts', async () => {
  for (let round = 0; round < chaos(1, 20).rounds; round++) {
    const spec = service.gated(`closing-${round}`);
    const first = await submit(spec);
    await service.reaches(first.body.job_id, 'running');
    service.file(`closing-${round}.gate`, '');
    let answer: Answer;
    do answer = await submit({ ...spec, when_finished: 'rerun' });
    while (answer.status === 200);
    expect(answer.status).toBe(202);
    expect(answer.body.run_id).not.toBe(first.body.run_id);
    expect((await service.ended(first.body.job_id)).run_id).toBe(answer.body.run_id);
    expect(service.lines(`closing-${round}`)).toEqual(['begun', 'passed', 'begun', 'passed']);
  }
});

also('a deleted name starts anew, and nothing of the old one is left', async () => {
  const first = await submit({ playbook: 'hello.yml', name: 'gone' });
  await service.ended('hello:gone');
  await submit({ playbook: 'hello.yml', name: 'gone', when_finished: 'rerun' });
  await service.ended('hello:gone');
  expect((await service.delete('/api/v1/jobs/hello:gone')).status).toBe(204);
  expect((await service.get('/api/v1/jobs/hello:gone')).status).toBe(404);
  expect((await service.get(`/api/v1/jobs/hello:gone?run=${first.body.run_id}`)).status).toBe(404);
  expect(existsSync(service.attemptFolder(first.body))).toBe(false);
  expect((await service.delete('/api/v1/jobs/hello:gone')).status).toBe(404);
  const anew = await submit({ playbook: 'hello.yml', name: 'gone' });
  expect(anew.status).toBe(202);
  const { body } = await service.get('/api/v1/jobs/hello:gone/runs');
  expect(body.items.map((run: { run_id: string }) => run.run_id)).toEqual([anew.body.run_id]);
  await service.ended('hello:gone');
});

also('a deletion that was interrupted before the files were gone is finished by the next', async () => {
  const first = await submit({ playbook: 'hello.yml', name: 'half' });
  await service.ended('hello:half');
  const client = await service.temporal();
  const workflowExecution = { workflowId: 'default/hello/half', runId: first.body.run_id };
  await client.workflowService.deleteWorkflowExecution({ namespace: 'default', workflowExecution });
  await until('the run to be gone', async () => (await service.get('/api/v1/jobs/hello:half')).status === 404);
  expect(existsSync(service.attemptFolder(first.body))).toBe(true);
  expect((await service.delete('/api/v1/jobs/hello:half')).status).toBe(204);
  expect(existsSync(service.attemptFolder(first.body))).toBe(false);
});

it('a cancel or delete aimed at an earlier run does not touch the latest', async () => {
  const first = await submit({ playbook: 'hello.yml', name: 'aimed' });
  await service.ended('hello:aimed');
  await submit({ playbook: 'hello.yml', name: 'aimed', when_finished: 'rerun', extra_vars: {} });
  await service.ended('hello:aimed');
  expect((await service.delete(`/api/v1/jobs/hello:aimed?run=${first.body.run_id}`)).status).toBe(409);
  expect((await service.post(`/api/v1/jobs/hello:aimed/cancel?run=${first.body.run_id}`)).status).toBe(409);
  expect((await service.job('hello:aimed')).status).toBe('successful');
});

it('an Idempotency-Key makes an unnamed job one job', async () => {
  const key = { 'idempotency-key': 'order-4711' };
  const answers = await Promise.all([1, 2, 3].map(() => service.post('/api/v1/jobs', { playbook: 'hello.yml' }, key)));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 202]);
  expect(new Set(answers.map(({ body }) => body.job_id)).size).toBe(1);
});
