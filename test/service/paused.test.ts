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
  const { workflowService } = await service.temporal();
  const request = { namespace: 'default', workflowId: 'default/gate/paused', runId: job.run_id, identity: 'operator' };
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
