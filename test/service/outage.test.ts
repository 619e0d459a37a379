import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { also } from './chaos.js';
import { signal, until } from './processes.js';
import { Service } from './service.js';

let service: Service;
beforeEach(async () => {
  service = await Service.start({ HEARTBEAT_TIMEOUT: '3' });
});
afterEach(() => service.destroy());

it('Ctrl-C and a pause longer than every timer: the playbook goes on, once, and is found again', async () => {
  const job = await service.submit(service.gated('pause'));
  await service.reaches(job.job_id, 'running');
  await service.interrupt();
  expect(service.output).toContain('npm start');
  expect(['temporal', 'worker', 'api'].flatMap((role) => service.processesOf(role as 'api'))).toEqual([]);
  expect(service.alive(job).length).toBeGreaterThan(0);
  await delay(7000); // longer than heartbeat, retry and sweep intervals of this service
  await service.start();
  expect((await service.reaches(job.job_id, 'running')).run_id).toBe(job.run_id);
  service.file('pause.gate', '');
  expect(await service.ended(job.job_id)).toMatchObject({ status: 'successful', attempt: 1 });
  expect(service.lines('pause')).toEqual(['begun', 'passed']);
});

also('a playbook that ended while everything was down is told truly', async () => {
  const job = await service.submit(service.gated('meanwhile'));
  await service.reaches(job.job_id, 'running');
  service.kill('tree');
  service.file('meanwhile.gate', '');
  await until('the playbook to end', () => service.alive(job).length === 0);
  await service.start();
  expect(await service.ended(job.job_id)).toMatchObject({ status: 'successful', attempt: 1, result: { rc: 0 } });
  expect(service.lines('meanwhile')).toEqual(['begun', 'passed']);
});

also('a worker that is stopped for longer than its heartbeat, then continued: one copy, one answer', async () => {
  const job = await service.submit(service.gated('frozen'));
  await service.reaches(job.job_id, 'running');
  const workers = service.processesOf('worker');
  for (const { pid } of workers) signal(pid, 'SIGSTOP');
  await delay(5000); // longer than the heartbeat timeout of this service
  for (const { pid } of workers) signal(pid, 'SIGCONT');
  await delay(2000);
  expect((await service.reaches(job.job_id, 'running')).attempt).toBe(1);
  service.file('frozen.gate', '');
  expect(await service.ended(job.job_id)).toMatchObject({ status: 'successful', attempt: 1 });
  expect(service.lines('frozen')).toEqual(['begun', 'passed']);
});

it('a cancel while the worker is dead is canceling, and canceled once a worker is back', async () => {
  const job = await service.submit(service.gated('unwatched'));
  await service.reaches(job.job_id, 'running');
  const frozen = service.processesOf('worker');
  for (const { pid } of frozen) signal(pid, 'SIGSTOP');
  expect((await service.post(`/api/v1/jobs/${job.job_id}/cancel`, { reason: 'not needed' })).status).toBe(202);
  expect((await service.job(job.job_id)).status).toBe('canceling');
  expect(service.alive(job).length).toBeGreaterThan(0);
  for (const { pid } of frozen) signal(pid, 'SIGKILL');
  expect(await service.ended(job.job_id)).toMatchObject({
    status: 'canceled',
    error: expect.stringContaining('not needed'),
  });
  expect(service.alive(job)).toEqual([]);
  expect(service.lines('unwatched')).toEqual(['begun']);
});

also('a killed parent leaves nothing of the service behind, and the next start finds the job', async () => {
  const job = await service.submit(service.gated('orphan'));
  await service.reaches(job.job_id, 'running');
  service.kill('parent');
  await until('the children to end', () =>
    ['temporal', 'worker', 'api'].every((role) => service.processesOf(role as 'api').length === 0),
  );
  await service.start();
  service.file('orphan.gate', '');
  expect(await service.ended(job.job_id)).toMatchObject({ status: 'successful', attempt: 1 });
  expect(service.lines('orphan')).toEqual(['begun', 'passed']);
});
