import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import proto from '@temporalio/proto';
import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { canSwapMachines, needsSshd } from '../targets/sshd.js';
import { also } from './chaos.js';
import { signal, until, whileFrozen } from './processes.js';
import { resetTo } from './reset.js';
import { Service, type Answer } from './service.js';
import { TargetService } from './target-service.js';

const { RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL } = proto.temporal.api.enums.v1.ResetReapplyExcludeType;

/** Two nodes on one Temporal, and hosts that both reach. */
let targets: TargetService;
let second: Service;
let client: Client;
beforeAll(async () => {
  targets = await TargetService.start({ hosts: 2, servers: 2 });
  second = await Service.start({
    TEMPORAL_ADDRESS: targets.service.temporalAddress,
    INVENTORIES_DIR: path.join(targets.service.folder, 'inventories'),
  });
  client = await targets.service.temporal();
});
afterAll(async () => {
  await second.destroy();
  await targets.destroy();
});

const workers = () => [targets.service, second].flatMap((service) => service.processesOf('worker'));
const workflowOf = (name: string): string => `default/task/${name}`;

/** A task that sleeps on a host, and its process there. */
async function asleep(name: string, more: object = {}) {
  const job = await targets.submit({ command: `exec ${targets.sleeper(name)}`, hosts: 'ssh-1', name, ...more });
  const pid = await targets.pidOf(name);
  await targets.service.reaches(job.job_id, 'running');
  return { job, pid };
}

needsSshd('a task', () => {
  it('that is reset in Temporal and canceled before its hosts were asked again: nothing lives when it says canceled', async () => {
    const { job, pid } = await asleep('reset');
    await whileFrozen(workers(), async () => {
      await resetTo(client, workflowOf('reset'), 0);
      await targets.service.post(`/api/v1/jobs/${job.job_id}/cancel`);
    });
    expect(await targets.service.ended(job.job_id)).toMatchObject({ status: 'canceled' });
    expect(targets.isAlive(pid)).toBe(false);
  });

  also('whose second attempt runs, reset and canceled before it comes to that: likewise', async () => {
    const retry = { max_attempts: 2, backoff: [15], on: ['killed'] };
    const { job, pid } = await asleep('again', { retry });
    signal(pid, 'SIGKILL');
    const second = await until(
      'its second attempt',
      async () => (await targets.pidOf('again')) !== pid && targets.pidOf('again'),
    );
    await resetTo(client, workflowOf('again'), 0);
    await until('the new run to wait for its second attempt', async () => {
      const { status, progress } = await targets.service.job(job.job_id);
      return status === 'pending' && progress?.stage === 'waiting';
    });
    expect(targets.isAlive(second)).toBe(true);
    await targets.service.post(`/api/v1/jobs/${job.job_id}/cancel`);
    expect(await targets.service.ended(job.job_id)).toMatchObject({ status: 'canceled', attempt: 2 });
    expect(targets.isAlive(second)).toBe(false);
  });

  also('whose second attempt runs, reset and canceled before a worker sees either: likewise', async () => {
    const retry = { max_attempts: 2, backoff: [1], on: ['killed'] };
    const { job, pid } = await asleep('unseen', { retry });
    signal(pid, 'SIGKILL');
    const second = await until('its second attempt', async () => {
      const other = await targets.pidOf('unseen');
      return other !== pid && other;
    });
    await whileFrozen(workers(), async () => {
      await resetTo(client, workflowOf('unseen'), 0);
      await targets.service.post(`/api/v1/jobs/${job.job_id}/cancel`);
    });
    expect(await targets.service.ended(job.job_id)).toMatchObject({ status: 'canceled', attempt: 2 });
    expect(targets.isAlive(second)).toBe(false);
  });

  also('that is reset and canceled while it waits for its second attempt has none', async () => {
    const { job, pid } = await asleep('waits', { retry: { max_attempts: 2, backoff: [60], on: ['killed'] } });
    signal(pid, 'SIGKILL');
    const waits = () =>
      until('it to wait', async () => (await targets.service.job(job.job_id)).progress?.stage === 'waiting');
    await waits();
    const run = await resetTo(client, workflowOf('waits'), 0);
    await until('the new run', async () => (await targets.service.job(job.job_id)).run_id === run);
    await waits();
    await targets.service.post(`/api/v1/jobs/${job.job_id}/cancel`);
    expect(await targets.service.ended(job.job_id)).toMatchObject({ status: 'canceled', attempt: 1 });
  });

  also('whose former run is deleted after a Reset is lost, and what runs is ended', async () => {
    const { job, pid } = await asleep('forgotten');
    const former = { workflowId: workflowOf('forgotten'), runId: job.run_id };
    await whileFrozen(workers(), async () => {
      const exclude = [RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL];
      await resetTo(client, former.workflowId, 0, { resetReapplyExcludeTypes: exclude });
      await client.workflowService.deleteWorkflowExecution({ namespace: 'default', workflowExecution: former });
      const handle = client.workflow.getHandle(former.workflowId, former.runId);
      await until('the former run to be gone', () =>
        handle.describe().then(
          () => false,
          () => true,
        ),
      );
    });
    expect(await targets.service.ended(job.job_id)).toMatchObject({
      status: 'failed',
      hosts: { 'ssh-1': { failure: { kind: 'lost', message: expect.stringContaining(job.run_id) as string } } },
    });
    await until('nothing of it to live', () => !targets.isAlive(pid));
  });

  it('that is terminated in Temporal is canceled when nothing of it lives, also if another node watched it', async () => {
    const ledger = path.join(second.dataDir, 'targets');
    const watchedBySecond = ({ run_id }: Answer['body']): boolean =>
      existsSync(ledger) && readdirSync(ledger).some((file) => file.startsWith(run_id));
    let [name, { job, pid }] = ['cut', await asleep('cut')];
    for (let others = 0; !watchedBySecond(job); others++) {
      await client.workflow.getHandle(workflowOf(name)).terminate('by an operator');
      name = `cut-${others}`;
      ({ job, pid } = await asleep(name));
    }
    await client.workflow.getHandle(workflowOf(name)).terminate('by an operator');
    expect(await targets.service.ended(job.job_id)).toMatchObject({ status: 'canceled' });
    expect(targets.isAlive(pid)).toBe(false);
  });

  it('that came late to a host, reset to before that and canceled, lives nowhere when it says canceled', async () => {
    const server = targets.targets.serverOf('ssh-2');
    await server.stop();
    const command = `case $SSH_CONNECTION in *" 127.0.0.2 "*) ${targets.sleeper('late')};; *) ${targets.gated('soon')};; esac`;
    const job = await targets.submit({ command, hosts: 'ssh-1,ssh-2', name: 'late' });
    await until('it to have begun on one', () => targets.lines('soon').length === 1);
    await server.start();
    const pid = await targets.pidOf('late');
    await whileFrozen(workers(), async () => {
      // The second workflow task had the answer of the first preparation.
      await resetTo(client, workflowOf('late'), 1);
      await targets.service.post(`/api/v1/jobs/${job.job_id}/cancel`);
    });
    expect(await targets.service.ended(job.job_id)).toMatchObject({ status: 'canceled' });
    expect(targets.isAlive(pid)).toBe(false);
    expect(targets.lines('soon')).toEqual(['begin']);
  });

  it('goes on while nodes can not ask its host for a reason of their own', async () => {
    const job = await targets.submit({
      command: targets.gated('unasked'),
      hosts: 'ssh-1',
      name: 'unasked',
      unreachable_after: 2,
    });
    await targets.service.reaches(job.job_id, 'running');
    const settings = [targets.service, second].map(({ playbooksDir }) => path.join(playbooksDir, 'ansible.cfg'));
    for (const file of settings) writeFileSync(file, 'no settings');
    const message = async () => (await targets.service.job(job.job_id)).hosts?.['ssh-1']?.message ?? '';
    await until('that to be said', async () => (await message()).includes('from here'));
    const from = Date.now();
    await until('longer than it waits for a host', () => Date.now() - from > 5_000);
    expect(await targets.service.job(job.job_id)).toMatchObject({ status: 'running' });
    for (const file of settings) writeFileSync(file, '');
    targets.open('unasked');
    expect(await targets.service.ended(job.job_id)).toMatchObject({ status: 'successful' });
  });

  it.runIf(canSwapMachines())('is not lost because another machine answers under the name of its host', async () => {
    const server = targets.targets.serverOf('ssh-2');
    const job = await targets.submit({ command: targets.gated('moved'), hosts: 'ssh-2', name: 'moved' });
    await targets.service.reaches(job.job_id, 'running');
    await server.stop();
    await server.start({ without: path.join(targets.targets.folder, 'tasks') });
    const message = async () => (await targets.service.job(job.job_id)).hosts?.['ssh-2']?.message ?? '';
    await until('that to be said', async () => (await message()).includes('another machine'));
    expect(await targets.service.job(job.job_id)).toMatchObject({ status: 'running' });
    await server.stop();
    await server.start();
    targets.open('moved');
    expect(await targets.service.ended(job.job_id)).toMatchObject({ status: 'successful' });
    expect(targets.lines('moved')).toEqual(['begin', 'end']);
  });
});
