import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { also } from './chaos.js';
import { until } from './processes.js';
import { Service, type Answer } from './service.js';

/** Two nodes, each with a data folder and an API of its own, on one Temporal; the first runs it, and has no free slot. */
let first: Service;
let second: Service;
const others: Service[] = [];

/** A busy machine must not silence a node that lives. */
const patient = { NODE_TIMEOUT: '15' };

beforeEach(async () => {
  first = await Service.start({ ...patient, MAX_CONCURRENT_PLAYBOOKS: '1' });
  second = await Service.start({ ...patient, TEMPORAL_ADDRESS: first.temporalAddress, MAX_CONCURRENT_PLAYBOOKS: '2' });
});
afterEach(async () => {
  for (const service of others.splice(0)) await service.destroy();
  await second.destroy();
  await first.destroy();
});

const nodeOf = async (service: Service, jobId: string): Promise<string> => (await service.job(jobId)).node;
const cancel = (job: Answer['body']): Promise<Answer> => first.post(`/api/v1/jobs/${job.job_id}/cancel`);

/** A job that fills the first node; returned when it runs there. */
async function fillFirst(): Promise<Answer['body']> {
  for (let n = 1; ; n++) {
    const job = await first.submit(first.gated(`fill-${n}`));
    await first.reaches(job.job_id, 'running');
    if (existsSync(first.attemptFolder(job))) return job;
    await cancel(job);
    await first.ended(job.job_id);
  }
}

/** A job that runs on the second node. */
async function runOnSecond(name: string, more: object = {}): Promise<Answer['body']> {
  const job = await first.submit(first.gated(name, more));
  await until('it to have begun on the second node', () => existsSync(path.join(first.folder, name)));
  expect(existsSync(second.attemptFolder(job))).toBe(true);
  return job;
}

/** Stops the second node for good: its services die, what they started lives on. */
async function stopSecond(): Promise<void> {
  second.kill('tree');
  await until('the second node to be gone', () => second.processesOf('worker').length === 0);
}

const isAway = (jobId: string): Promise<Answer['body']> =>
  until('its document to say that its node is away', async () => {
    const document = await first.job(jobId);
    return /Waiting for node/.test(document.progress?.message) && document;
  });

const nodes = async (service: Service): Promise<Record<string, Answer['body']>> => {
  const { items } = await service.told('/api/v1/nodes');
  return Object.fromEntries(items.map((item: Answer['body']) => [item.node, item]));
};

describe('a job whose node is gone', () => {
  it('stays running and says why; abandoned it is node_lost, and the answer stays when the node is back', async () => {
    const filling = await fillFirst();
    const job = await runOnSecond('abandoned');
    const node = await nodeOf(first, job.job_id);

    const early = await first.post(`/api/v1/jobs/${job.job_id}/abandon`, { reason: 'a mistake' });
    expect(early).toMatchObject({ status: 409, body: { type: '/problems/node-live' } });

    await until('its progress to be told', async () => (await first.job(job.job_id)).progress?.tasks_done === 1);
    await stopSecond();
    expect(await isAway(job.job_id)).toMatchObject({ status: 'running', node });
    await until('the node to be away', async () => (await nodes(first))[node]?.status === 'away');
    expect(await first.job(job.job_id)).toMatchObject({ status: 'running' });
    expect(second.alive(job).length).toBeGreaterThan(0);

    const answer = await first.post(`/api/v1/jobs/${job.job_id}/abandon`, { reason: 'its machine burned down' });
    expect(answer.status).toBe(202);
    const given = await first.ended(job.job_id);
    expect(given).toMatchObject({
      status: 'failed',
      failure: { kind: 'node_lost', message: 'Abandoned: its machine burned down' },
      output_available: false,
      progress: { percent: 100, tasks_done: 1, tasks_total: 3 },
    });
    expect(given.started_at).not.toBeNull();
    expect(await first.post(`/api/v1/jobs/${job.job_id}/abandon`, { reason: 'again' })).toMatchObject({ status: 409 });

    await second.start();
    await until('its live copy to be killed', () => second.alive(job).length === 0);
    await until('the end to be on record', () => existsSync(path.join(second.attemptFolder(job), 'outcome.json')));
    const outcome = JSON.parse(readFileSync(path.join(second.attemptFolder(job), 'outcome.json'), 'utf8'));
    expect(outcome).toMatchObject({ status: 'canceled', rc: null });
    const log = path.join(second.dataDir, 'logs', 'worker.log');
    await until('that to be logged', () =>
      readFileSync(log, 'utf8').includes('an attempt that nobody waits for has ended'),
    );
    expect(await first.job(job.job_id)).toMatchObject({ status: 'failed', failure: { kind: 'node_lost' } });
    expect(first.lines('abandoned')).toEqual(['begun']);
    await cancel(filling);
  });

  also(
    'with on_node_lost: rerun runs on another node, and the returning one ends its copy, which is shown',
    async () => {
      const filling = await fillFirst();
      const job = await runOnSecond('rerun', { on_node_lost: 'rerun' });
      await stopSecond();
      const waiting = await until('attempt 1 to be given up', async () => {
        const document = await first.job(job.job_id);
        return document.attempts?.length === 1 && document.attempts[0].failure !== null && document;
      });
      expect(waiting).toMatchObject({ status: 'pending', attempts: [{ attempt: 1, failure: { kind: 'node_lost' } }] });

      await cancel(filling);
      const again = await first.reaches(job.job_id, 'running');
      expect(again).toMatchObject({ attempt: 2, attempts: [{ attempt: 1 }, { attempt: 2 }] });
      expect(again.node).not.toBe(waiting.attempts[0].node);
      await until('attempt 2 to have begun', () => first.lines('rerun').length === 2);

      await second.start();
      await until('the first copy to be killed', () => second.alive(job, 1).length === 0);
      const shown = await until('its late result to be shown', async () => {
        const document = await first.job(job.job_id);
        return document.attempts?.[0].late !== undefined && document;
      });
      expect(shown).toMatchObject({ status: 'running', attempts: [{ late: { status: 'canceled' } }, {}] });
      first.file('rerun.gate', '');
      expect(await first.ended(job.job_id)).toMatchObject({
        status: 'successful',
        attempt: 2,
        attempts: [{ failure: { kind: 'node_lost' }, late: { status: 'canceled' } }, { status: 'successful' }],
      });
      expect(first.lines('rerun')).toEqual(['begun', 'begun', 'passed']);
    },
  );

  it('with on_node_lost: fail is node_lost after NODE_LOST_AFTER; one that waits goes on when the node is back', async () => {
    await fillFirst();
    const failing = await runOnSecond('fails', { on_node_lost: 'fail' });
    const waiting = await runOnSecond('waits');
    await stopSecond();
    expect(await first.ended(failing.job_id)).toMatchObject({ status: 'failed', failure: { kind: 'node_lost' } });
    expect(await first.job(waiting.job_id)).toMatchObject({ status: 'running' });

    first.file('waits.gate', '');
    await until('it to end while its node is away', () => second.alive(waiting).length === 0);
    expect(await first.job(waiting.job_id)).toMatchObject({ status: 'running' });
    await second.start();
    expect(await first.ended(waiting.job_id)).toMatchObject({ status: 'successful', attempt: 1 });
    await until('the copy that failed to be killed', () => second.alive(failing).length === 0);
    expect(await first.job(failing.job_id)).toMatchObject({ status: 'failed', failure: { kind: 'node_lost' } });
    expect(first.lines('waits')).toEqual(['begun', 'passed']);
  });

  also('and that is to be canceled is canceling until the node is back and has ended it', async () => {
    await fillFirst();
    const job = await runOnSecond('canceled');
    await stopSecond();
    await cancel(job);
    await isAway(job.job_id);
    await delay(2000);
    expect(await first.job(job.job_id)).toMatchObject({ status: 'canceling' });
    expect(second.alive(job).length).toBeGreaterThan(0);
    await second.start();
    expect(await first.ended(job.job_id)).toMatchObject({ status: 'canceled' });
    expect(second.alive(job)).toEqual([]);
  });
});

describe('two nodes', () => {
  also('are listed with their slots; each API says what it can not read of the other', async () => {
    const filling = await fillFirst();
    const job = await runOnSecond('elsewhere');
    const [own, other] = [await nodeOf(first, filling.job_id), await nodeOf(first, job.job_id)];
    const listed = await until('both nodes to show what runs', async () => {
      const seen = await nodes(first);
      return seen[own]?.taken === 1 && seen[other]?.taken === 1 && seen;
    });
    expect(listed).toMatchObject({
      [own]: { status: 'live', slots: 1, attempts: [{ job_id: filling.job_id, attempt: 1 }] },
      [other]: { status: 'live', slots: 2, attempts: [{ job_id: job.job_id, attempt: 1 }] },
    });
    expect(await first.job(job.job_id)).toMatchObject({ status: 'running', output_available: false, recent_logs: [] });
    expect(await second.job(job.job_id)).toMatchObject({ status: 'running', output_available: true });
    expect(await first.get(`/api/v1/jobs/${job.job_id}/stdout`)).toMatchObject({ status: 404 });
    const third = await first.submit(first.gated('third'));
    await first.reaches(third.job_id, 'running');
    const fourth = await first.submit(first.gated('fourth'));
    await until('it to say why it waits', async () =>
      /3 of 3 slot\(s\) are taken on 2 live node/.test((await first.job(fourth.job_id)).progress?.message),
    );
    for (const name of ['elsewhere', 'third', 'fourth']) first.file(`${name}.gate`, '');
    for (const { job_id } of [job, third, fourth])
      expect(await first.ended(job_id)).toMatchObject({ status: 'successful', attempt: 1 });
    expect((await first.job(job.job_id)).result).toMatchObject({ rc: 0, stdout: '' });
    expect((await second.job(job.job_id)).result.stdout).toContain('PLAY RECAP');
  });

  also('of the same NODE_ID can not be: the second one is refused while the first is live', async () => {
    await fillFirst();
    const job = await runOnSecond('guarded');
    const node = await nodeOf(first, job.job_id);
    const third = await Service.prepare({ ...patient, TEMPORAL_ADDRESS: first.temporalAddress, NODE_ID: node });
    others.push(third);
    // Its API may serve before its worker is refused; then all of it ends.
    await third.start().catch(() => undefined);
    await until('the third to end', () => !third.runs);
    expect(third.output).toMatch(/is served by another worker/);
    expect(await first.job(job.job_id)).toMatchObject({ status: 'running' });
    first.file('guarded.gate', '');
    expect(await first.ended(job.job_id)).toMatchObject({ status: 'successful', attempt: 1, node });
    expect(first.lines('guarded')).toEqual(['begun', 'passed']);
  });

  also(
    'a job that was terminated in Temporal is canceling, then canceled, also for the API of the other node',
    async () => {
      await fillFirst();
      const job = await runOnSecond('terminated');
      const client = await first.temporal();
      second.kill('worker');
      await client.workflow.getHandle(`default/gate/terminated`).terminate('by an operator');
      expect(['canceling', 'canceled']).toContain((await first.job(job.job_id)).status);
      const ended = await first.ended(job.job_id);
      expect(ended).toMatchObject({ status: 'canceled' });
      expect(second.alive(job)).toEqual([]);
    },
  );

  also('whose Temporal was away for longer than NODE_TIMEOUT are live again when it is back', async () => {
    const bothLive = (): Promise<boolean> =>
      until('both nodes to be live', async () => {
        const seen = Object.values(await nodes(first).catch(() => ({}) as Record<string, Answer['body']>));
        return seen.filter(({ status }) => status === 'live').length === 2;
      });
    await bothLive();
    const [before] = first.processesOf('temporal');
    first.kill('temporal');
    const stopped = await until('Temporal to be started again', () =>
      first.processesOf('temporal').find(({ pid }) => pid !== before!.pid),
    );
    process.kill(stopped.pid, 'SIGSTOP');
    await delay(19_000);
    process.kill(stopped.pid, 'SIGCONT');
    await bothLive();
    const job = await first.submit({ playbook: 'hello.yml' });
    expect(await first.ended(job.job_id)).toMatchObject({ status: 'successful' });
  });
});
