import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { OwnTemporal } from './own-temporal.js';
import { until } from './processes.js';
import { Service } from './service.js';

/** Longer than several sweeps. */
const sweepsMs = 3000;

let temporal: OwnTemporal;
let service: Service;
beforeEach(async () => {
  temporal = await OwnTemporal.start('--dynamic-config-value', 'frontend.WorkflowPauseEnabled=true');
  service = await Service.start({ TEMPORAL_ADDRESS: temporal.address, SWEEP_INTERVAL: '0.5' });
});
afterEach(async () => {
  await service.destroy();
  await temporal.destroy();
});

it('a job that is paused in Temporal runs on, and ends as it does when it is continued', async () => {
  const job = await service.submit(service.gated('paused'));
  await until('it to have begun', () => existsSync(path.join(service.folder, 'paused')));
  // Lists go by what the workflow says, which says nothing while it is paused.
  await until('its workflow to know', async () => (await service.get('/readyz')).body.queue?.running === 1);
  const { workflowService } = await service.temporal();
  const request = paused('default/gate/paused', job);
  await workflowService.pauseWorkflowExecution(request);
  await delay(sweepsMs);
  expect(service.alive(job).length).toBeGreaterThan(0);
  expect(await service.job(job.job_id)).toMatchObject({ status: 'running' });
  await until('it to be counted', async () => (await service.get('/readyz')).body.queue?.running === 1);

  await workflowService.unpauseWorkflowExecution(request);
  service.file('paused.gate', '');
  expect(await service.ended(job.job_id)).toMatchObject({ status: 'successful', attempt: 1 });
  expect(service.lines('paused')).toEqual(['begun', 'passed']);
});

it('a task that is paused in Temporal runs on, also when its worker dies meanwhile', async () => {
  const gate = path.join(service.folder, 'task.gate');
  const job = await service.submit({
    command: `until [ -e ${gate} ]; do sleep 0.2; done; echo passed`,
    name: 'paused',
  });
  await service.reaches(job.job_id, 'running');
  const { workflowService } = await service.temporal();
  const request = paused('default/task/paused', job);
  await workflowService.pauseWorkflowExecution(request);
  service.kill('worker');
  await until('another worker', () => service.processesOf('worker').length > 0);
  await delay(sweepsMs);

  await workflowService.unpauseWorkflowExecution(request);
  service.file('task.gate', '');
  expect(await service.ended(job.job_id)).toMatchObject({ status: 'successful', attempt: 1 });
});

const paused = (workflowId: string, { run_id }: { run_id: string }): object => ({
  namespace: 'default',
  workflowId,
  runId: run_id,
  identity: 'operator',
});
