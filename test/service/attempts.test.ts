import { readFileSync, readdirSync, existsSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signal, until, whileFrozen } from './processes.js';
import { also } from './chaos.js';
import { Service, type Answer } from './service.js';

let service: Service;
beforeAll(async () => {
  service = await Service.start();
});
afterAll(() => service.destroy());

const runningGate = async (name: string, more: object = {}): Promise<{ job_id: string; run_id: string }> => {
  const job = await service.submit(service.gated(name, more));
  await until('the playbook to have begun', () => existsSync(path.join(service.folder, name)));
  return job;
};

/** A run as lists show it once it has ended. */
const listed = ({ run_id, status }: { run_id: string; status: string }): Promise<Answer['body']> =>
  until('it to be listed as ended', async () => {
    const { items } = (await service.get(`/api/v1/jobs?status=${status}`)).body;
    return items?.find((item: Answer['body']) => item.run_id === run_id);
  });

describe('kill -9', () => {
  it('of Ansible alone: killed, with the signal, and not run again unasked', async () => {
    const job = await runningGate('ansible');
    signal(service.pidsOf(job).ansible, 'SIGKILL');
    const ended = await service.ended(job.job_id);
    expect(ended).toMatchObject({ status: 'failed', failure: { kind: 'killed', signal: 9 }, attempt: 1 });
    await until('its supervisor to be gone', () => service.alive(job).length === 0);
    expect(service.lines('ansible')).toEqual(['begun']);
  });

  it('of the supervisor alone: the playbook goes on and tells its own end', async () => {
    const job = await runningGate('supervisor');
    signal(service.pidsOf(job).supervisor, 'SIGKILL');
    service.file('supervisor.gate', '');
    expect(await service.ended(job.job_id)).toMatchObject({ status: 'successful', attempt: 1 });
    expect(service.lines('supervisor')).toEqual(['begun', 'passed']);
  });

  it('of both, the supervisor first: lost; attempt 2 starts after its backoff, when nothing of attempt 1 lives', async () => {
    const job = await runningGate('both', { retry: { max_attempts: 2, backoff: [10], on: ['lost'] } });
    const { supervisor, ansible } = service.pidsOf(job);
    signal(supervisor, 'SIGKILL');
    signal(ansible, 'SIGKILL');
    const waiting = await until('the backoff', async () => {
      const document = await service.job(job.job_id);
      return document.status === 'pending' && document.attempts?.length === 1 && document;
    });
    expect(waiting.attempts[0]).toMatchObject({ attempt: 1, failure: { kind: 'lost' } });
    expect(service.alive(job, 1)).toEqual([]);
    await until('attempt 2', () => existsSync(path.join(service.attemptFolder(job, 2), 'started')));
    const first = JSON.parse(readFileSync(path.join(service.attemptFolder(job, 1), 'outcome.json'), 'utf8'));
    const second = JSON.parse(readFileSync(path.join(service.attemptFolder(job, 2), 'started'), 'utf8'));
    expect(second.at * 1000 - Date.parse(first.finished_at)).toBeGreaterThanOrEqual(10_000);
    service.file('both.gate', '');
    expect(await service.ended(job.job_id)).toMatchObject({ status: 'successful', attempt: 2 });
    expect(service.lines('both')).toEqual(['begun', 'begun', 'passed']);
  });

  also('of both, Ansible first: never a success, never a second copy', async () => {
    const job = await runningGate('reverse', { retry: { max_attempts: 1 } });
    const { supervisor, ansible } = service.pidsOf(job);
    signal(ansible, 'SIGKILL');
    signal(supervisor, 'SIGKILL');
    const ended = await service.ended(job.job_id);
    expect(ended.status).toBe('failed');
    expect(['killed', 'lost']).toContain(ended.failure.kind);
    await until('its supervisor to be gone', () => service.alive(job).length === 0);
    expect(service.lines('reverse')).toEqual(['begun']);
  });
});

describe('cancel', () => {
  const stubborn = async (name: string): Promise<{ job_id: string; run_id: string }> => {
    const trace = path.join(service.folder, name);
    const job = await service.submit({ playbook: 'stubborn.yml', name, extra_vars: { trace } });
    await until('the grandchild', () => existsSync(trace));
    return job;
  };

  it('of a playbook whose grandchild ignores TERM: canceling, then canceled, and nothing with its marker', async () => {
    const job = await stubborn('grandchild');
    expect(service.alive(job).length).toBeGreaterThan(3);
    await whileFrozen(service.processesOf('worker'), async () => {
      const answer = await service.post(`/api/v1/jobs/${job.job_id}/cancel`, { reason: 'enough' });
      expect(answer.status).toBe(202);
      expect((await service.job(job.job_id)).status).toBe('canceling');
      expect((await service.post(`/api/v1/jobs/${job.job_id}/cancel`)).status).toBe(202);
    });
    expect(await service.ended(job.job_id)).toMatchObject({ status: 'canceled', failure: null });
    expect(service.alive(job)).toEqual([]);
    const finished = await service.post(`/api/v1/jobs/${job.job_id}/cancel`);
    expect(finished.status).toBe(409);
  });

  also('in Temporal itself is the same', async () => {
    const job = await stubborn('by-temporal');
    const client = await service.temporal();
    await client.workflow.getHandle('default/stubborn/by-temporal').cancel();
    expect(await service.ended(job.job_id)).toMatchObject({ status: 'canceled' });
    expect(service.alive(job)).toEqual([]);
  });

  also('by DELETE of a running job is the same', async () => {
    const job = await stubborn('by-delete');
    expect((await service.delete(`/api/v1/jobs/${job.job_id}`)).status).toBe(202);
    expect(await service.ended(job.job_id)).toMatchObject({ status: 'canceled' });
    expect(service.alive(job)).toEqual([]);
  });

  it('Terminate in Temporal: canceling until its node has ended it, then canceled with the reason', async () => {
    const job = await stubborn('terminated');
    const client = await service.temporal();
    await whileFrozen(service.processesOf('worker'), async () => {
      await client.workflow.getHandle('default/stubborn/terminated').terminate('pulled the plug');
      expect((await service.job(job.job_id)).status).toBe('canceling');
    });
    const ended = await service.ended(job.job_id);
    expect(ended).toMatchObject({ status: 'canceled', error: expect.stringContaining('pulled the plug') });
    expect(service.alive(job)).toEqual([]);
  });

  also('of a job that waits for its retry ends it without a further attempt', async () => {
    const job = await runningGate('waiting', { retry: { max_attempts: 3, backoff: [600], on: ['killed'] } });
    signal(service.pidsOf(job).ansible, 'SIGKILL');
    await until('the backoff', async () => (await service.job(job.job_id)).attempts?.length === 1);
    await service.post(`/api/v1/jobs/${job.job_id}/cancel`, { reason: 'not again' });
    const ended = await service.ended(job.job_id);
    expect(ended).toMatchObject({ status: 'canceled', error: 'Canceled: not again' });
    expect(await listed(ended)).toMatchObject({ error: ended.error });
    expect(readdirSync(path.dirname(service.attemptFolder(job)))).toEqual(['1']);
  });
});
