import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packageRoot } from '../../src/config.js';
import { signals } from '../../src/job/protocol.js';
import { tenantSignals, tenantWorkflowType, type TenantInput } from '../../src/job/tenant-protocol.js';
import { until } from '../service/processes.js';
import { quietRuntime } from './quiet-runtime.js';
import { timeSkipping } from './time-skipping.js';

quietRuntime();
const root = packageRoot();
const bundle = { code: readFileSync(path.join(root, 'dist', 'workflow-bundle.js'), 'utf8') };

let environment: TestWorkflowEnvironment;
beforeAll(async () => {
  environment = await timeSkipping();
});
afterAll(() => environment.teardown());

it('a job that asks again while the history of its tenant is about to be cut is admitted', async () => {
  const { client, nativeConnection: connection } = environment;
  const holder = await client.workflow.start('any', { workflowId: 'a/gate/holder', taskQueue: 'nobody' });
  const waiting = Array.from({ length: 420 }, (_, n) => ({ workflow_id: `a/gate/gone-${n}`, priority: 3 }));
  const input: TenantInput = { admitted: [holder.workflowId], waiting, limit: 2 };
  const tenant = await client.workflow.start(tenantWorkflowType, {
    workflowId: 'tenant/a',
    taskQueue: 'tenants',
    args: [input],
  });
  const worker = await Worker.create({ connection, workflowBundle: bundle, taskQueue: 'tenants' });
  await worker.runUntil(async () => {
    const first = await tenant.describe();
    await until('it to be at the jobs that wait', async () => (await tenant.describe()).historyLength > 100);
    await tenant.signal(tenantSignals.acquire, { workflow_id: holder.workflowId, priority: 3, limit: 2 });
    await until('its history to be cut', async () => (await tenant.describe()).runId !== first.runId, 150);
    await until('the holder to be told', async () => {
      const { events } = await holder.fetchHistory();
      return events!.find((event) => event.workflowExecutionSignaledEventAttributes?.signalName === signals.admitted);
    });
  });
  expect((await tenant.describe()).status.name).toBe('RUNNING');
});
