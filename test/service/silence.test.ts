import { existsSync } from 'node:fs';
import type { Client } from '@temporalio/client';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { until } from './processes.js';
import { Service, type Answer } from './service.js';

/** A busy machine must not silence a node that lives. */
const patient = { NODE_TIMEOUT: '15' };
/** The first service has no slot for a second job; the second one is a node that comes and goes. */
let first: Service;
let second: Service;
let client: Client;
beforeEach(async () => {
  first = await Service.start({ ...patient, MAX_CONCURRENT_PLAYBOOKS: '1' });
  second = await Service.start({ ...patient, TEMPORAL_ADDRESS: first.temporalAddress, MAX_CONCURRENT_PLAYBOOKS: '2' });
  client = await first.temporal();
});
afterEach(async () => {
  await second.destroy();
  await first.destroy();
});

/** What Temporal's Web UI shows of a workflow. */
async function details(workflowId: string): Promise<string> {
  const metadata: { currentDetails?: string } = await client.workflow
    .getHandle(workflowId)
    .query('__temporal_workflow_metadata');
  return metadata.currentDetails ?? '';
}
const shows = (workflowId: string, what: RegExp): Promise<string> =>
  until(`the details of ${workflowId} to match ${what}`, async () => {
    const shown = await details(workflowId);
    return what.test(shown) && shown;
  });

async function runOnSecond(name: string): Promise<Answer['body']> {
  for (let fill = 1; ; fill++) {
    const job = await first.submit(first.gated(fill === 1 ? name : `${name}-${fill}`));
    await first.reaches(job.job_id, 'running');
    if (existsSync(second.attemptFolder(job))) return job;
  }
}

it('a silent node and its jobs say so in Temporal, and no more when it is back; it is listed as last heard', async () => {
  const job = await runOnSecond('silent');
  const workflowId = `default/gate/${job.name}`;
  const { node } = await first.job(job.job_id);
  const seen = async (): Promise<Answer['body']> =>
    (await first.told('/api/v1/nodes')).items.find((item: Answer['body']) => item.node === node);
  await shows(workflowId, /How far/);
  await until('its node to tell how far it is', async () => (await first.job(job.job_id)).progress?.percent === 33);
  expect(await details(`node/${node}`)).toMatch(/^\*\*Live: served by /);

  for (const silence of [1, 2, 3]) {
    await until('the node to tell of it', async () => {
      const { status, taken } = await seen();
      return status === 'live' && taken === 1;
    });
    second.kill('tree');
    await until('the node to be gone', () => second.processesOf('worker').length === 0);
    expect(await shows(`node/${node}`, /^\*\*Away/)).toMatch(/1 of 2 taken: `default\/gate\/silent/);
    const away = await until('the node to be away', async () => {
      const listed = await seen();
      return listed.status === 'away' && listed;
    });
    expect(away).toMatchObject({ slots: 2, taken: 1, attempts: [{ job_id: job.job_id, attempt: 1 }] });
    expect(away.last_seen).not.toBeNull();
    if (silence < 3) {
      const shown = await shows(workflowId, /^\*\*Node .* silent since/);
      expect(shown).toContain('it may run on there');
      expect(shown).toMatch(/How far: 33 % at .*\(Wait/);
    }
    await second.start();
    await shows(`node/${node}`, /^\*\*Live/);
    const back = await shows(workflowId, /^\*\*Running on node/);
    expect(back.includes('not told here any more')).toBe(silence > 1);
  }
  first.file(`${job.name}.gate`, '');
  expect(await first.ended(job.job_id)).toMatchObject({ status: 'successful', attempt: 1 });
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  const told = events!.map((event) => event.workflowExecutionSignaledEventAttributes?.signalName);
  expect(told.filter((name) => name?.startsWith('node_'))).toEqual([
    ...['node_silent', 'node_back'],
    ...['node_silent', 'node_back'],
  ]);
}, 300_000);
