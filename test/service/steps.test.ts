import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { also, someOf } from './chaos.js';
import { carrying, until, whileFrozen } from './processes.js';
import { resetTo } from './reset.js';
import { Service, type Answer } from './service.js';

type Document = Answer['body'];

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await Service.start({ MAX_CONCURRENT_PLAYBOOKS: '4', CLEANUP_INTERVAL: '2' });
  client = await service.temporal();
});
afterAll(() => service.destroy());

/** A step that waits at its gate (see `Service.gated`). */
const gate = (name: string, more: object = {}): object => {
  const trace = path.join(service.folder, name);
  return { name, playbook: 'gate.yml', extra_vars: { trace, gate: `${trace}.gate` }, ...more };
};
/** A step that traces `name` into the trace of its job, and hands on. */
const word = (name: string, more: object = {}, vars: object = {}): object => ({
  name,
  playbook: 'hand_on.yml',
  extra_vars: { word: name, ...vars },
  ...more,
});
const traced = (name: string): object => ({ trace: path.join(service.folder, name) });
const begun = (name: string): Promise<boolean> =>
  until(`${name} to have begun`, () => existsSync(path.join(service.folder, name)));
const stepsOf = ({ steps = [] }: Document): Record<string, string> =>
  Object.fromEntries(steps.map(({ name, status }: Document) => [name, status]));
const workflowIdOf = ({ job_id }: Document): string => `default/${job_id.replace(':', '/')}`;
/** The living processes of all steps of a run. */
const alive = (job: Document): number =>
  runsOfSteps(job).reduce((sum, run_id) => sum + carrying(`LONGHAUL_ATTEMPT=${run_id}/1`).length, 0);
const runsOfSteps = ({ job_id }: Document): string[] => {
  const [playbookName, name] = job_id.split(':') as [string, string];
  const folder = path.join(service.dataDir, 'runs', 'default', playbookName, name);
  return existsSync(folder) ? readdirSync(folder) : [];
};
/** The workflows of a job and of its steps. */
async function workflowsOf(job: Document): Promise<string[]> {
  const id = workflowIdOf(job);
  const found: string[] = [];
  for await (const { type, status } of client.workflow.list({
    query: `WorkflowId = "${id}" OR WorkflowId STARTS_WITH "${id}/"`,
  }))
    found.push(`${type} ${status.name}`);
  return found.sort();
}
/** Waits until Temporal lists these, which it does some time after it has closed or deleted them. */
const listed = (job: Document, workflows: string[]): Promise<void> =>
  expect.poll(() => workflowsOf(job), { timeout: 60_000 }).toEqual(workflows);

describe('steps', () => {
  it('that need nothing run side by side, what needs them follows, and gets what they hand on as data', async () => {
    const spec = {
      name: 'graph',
      extra_vars: traced('graph'),
      steps: [
        gate('left', { outputs: [] }),
        gate('right'),
        word('first', { needs: ['left', 'right'], outputs: ['words', 'template'] }),
        word('second', { needs: ['first'], outputs: ['words', 'template'] }),
      ],
    };
    const job = await service.submit(spec);
    await begun('left');
    await begun('right');
    const running = await service.reaches(job.job_id, 'running');
    expect(running).toMatchObject({ kind: 'steps', hosts: {}, progress: { tasks_done: 0, tasks_total: 4, eta: null } });
    expect(stepsOf(running)).toMatchObject({ first: 'pending', second: 'pending' });
    expect(running.progress.message).toContain('left');
    for (const name of ['left', 'right']) service.file(`${name}.gate`, '');

    const ended = await service.ended(job.job_id);
    expect(ended).toMatchObject({ status: 'successful', progress: { percent: 100, tasks_done: 4 }, result: { rc: 0 } });
    expect(ended.steps.map(({ status, rc, attempt }: Document) => ({ status, rc, attempt }))).toEqual(
      Array(4).fill({ status: 'successful', rc: 0, attempt: 1 }),
    );
    expect(ended.steps[3].outputs.words).toEqual(['first', 'second']);
    expect(ended.steps[3].outputs.template).toContain('lookup');
    expect(existsSync(path.join(service.folder, 'graph.evaluated'))).toBe(false);
    expect(service.lines('graph')).toEqual(['first', 'second']);
    for (const name of ['left', 'right']) expect(service.lines(name)).toEqual(['begun', 'passed']);
    expect(await service.post('/api/v1/jobs', spec)).toMatchObject({ status: 200, body: { created: false } });
    const other = { ...spec, steps: spec.steps.slice(1, 2) };
    expect(await service.post('/api/v1/jobs', other)).toMatchObject({
      status: 409,
      body: { differing_fields: ['steps'] },
    });

    const stdout = (await service.get(`/api/v1/jobs/${job.job_id}/stdout`)).text;
    const headings = [...stdout.matchAll(/^STEP \[(\w+)\] \*+$/gm)].map((heading) => heading[1]);
    expect(headings).toEqual(['left', 'right', 'first', 'second']);
    expect(ended.result.stdout).toBe(stdout);
    const range = await service.call('GET', `/api/v1/jobs/${job.job_id}/stdout`, undefined, { range: 'bytes=100-999' });
    expect(range.text).toBe(stdout.slice(100, 1000));
  });

  it('are jobs of their own in URLs, but not in lists', async () => {
    const job = await service.submit({ name: 'urls', steps: [gate('url'), gate('later', { needs: ['url'] })] });
    await begun('url');
    const path = `/api/v1/jobs/${job.job_id}:url`;
    const step = await until('the step to run', async () => {
      const { body } = await service.get(path);
      return body.status === 'running' && body;
    });
    expect(step).toMatchObject({ job_id: `${job.job_id}:url`, kind: 'playbook', playbook: 'gate.yml', name: 'urls' });
    expect(step.links).toMatchObject({ self: `${path}?run=${job.run_id}`, job: job.links.self });
    for (const link of [step.links.self, `${path}?run=${step.run_id}`])
      expect((await service.get(link)).body.run_id).toBe(step.run_id);
    expect((await service.get(`${path}/runs`)).body.items).toHaveLength(1);
    expect((await service.get(step.links.stdout)).text).toContain('Wait at a gate');
    expect((await service.get(`/api/v1/jobs/${job.job_id}:later`)).status).toBe(404);
    expect((await service.get(`/api/v1/jobs/${job.job_id}:none`)).status).toBe(404);
    expect((await service.get(`${path}:x`)).status).toBe(404);
    expect(await service.delete(path)).toMatchObject({ status: 409, body: { type: '/problems/part-of-a-job' } });

    await until('the list to say that it runs', async () =>
      (await service.told('/api/v1/jobs?name=urls&status=running')).items.some(
        (item: Document) => item.job_id === job.job_id,
      ),
    );
    const { items } = (await service.get('/api/v1/jobs?name=urls')).body;
    expect(items.map(({ job_id, kind }: Document) => [job_id, kind])).toEqual([[job.job_id, 'steps']]);
    expect((await service.get('/api/v1/jobs/counts?name=urls')).body.total).toBe(1);

    expect((await service.post(`${path}/cancel?run=${randomUUID()}`)).status).toBe(409);
    expect((await service.post(`${path}/cancel`, { reason: 'only this' })).status).toBe(202);
    const ended = await service.ended(job.job_id);
    expect(ended).toMatchObject({ status: 'canceled', error: expect.stringContaining('step url was canceled') });
    expect(stepsOf(ended)).toEqual({ url: 'canceled', later: 'skipped' });
    expect((await service.post(`${path}/cancel`)).status).toBe(409);
    expect(alive(job)).toBe(0);
  });

  it('of which one fails: nothing further starts, and what runs goes on to its end', async () => {
    const job = await service.submit({
      name: 'stop',
      extra_vars: traced('stop'),
      steps: [
        gate('long'),
        word('bad', {}, { fails: true }),
        word('never', { needs: ['bad'] }),
        word('nor', { needs: ['long'] }),
      ],
    });
    await begun('long');
    await until('the failure', async () => stepsOf(await service.job(job.job_id)).bad === 'failed');
    const running = await service.job(job.job_id);
    expect(running.status).toBe('running');
    expect(stepsOf(running)).toEqual({ long: 'running', bad: 'failed', never: 'skipped', nor: 'skipped' });
    service.file('long.gate', '');
    const ended = await service.ended(job.job_id);
    expect(ended).toMatchObject({ status: 'failed', failure: { kind: 'exit' }, result: { rc: 2 } });
    expect(ended.error).toMatch(/1 of 4 steps failed: bad .*; not started: never, nor/);
    expect(stepsOf(ended)).toEqual({ long: 'successful', bad: 'failed', never: 'skipped', nor: 'skipped' });
    expect(service.lines('stop')).toEqual(['bad']);
    expect(service.lines('long')).toEqual(['begun', 'passed']);
  });

  also('of which one may fail: what needs it starts nevertheless', async () => {
    const job = await service.submit({
      extra_vars: traced('continue'),
      steps: [
        word('bad', { on_failure: 'continue', outputs: ['words'] }, { fails: true }),
        word('next', { needs: ['bad'], outputs: ['words'] }),
      ],
    });
    const ended = await service.ended(job.job_id);
    expect(ended).toMatchObject({ status: 'successful', failure: null, playbook_name: 'steps' });
    expect(stepsOf(ended)).toEqual({ bad: 'failed', next: 'successful' });
    expect(ended.steps[1].outputs.words).toEqual(['bad', 'next']);
  });

  it('that are tasks hand on what they printed on each host, as data, after another attempt and a kill -9 too', async () => {
    const [once, twice, go] = ['once', 'twice', 'go'].map((name) => path.join(service.folder, name));
    const job = await service.submit({
      inventory: 'one,two',
      extra_vars: { ansible_connection: 'local' },
      steps: [
        {
          name: 'print',
          command: `mkdir ${once} && exit 1; mkdir ${twice} || until [ -e ${go} ]; do sleep 0.1; done; printf '{{ 1 }}\nü\n\n'`,
          retry: { max_attempts: 2, backoff: [1], on: ['exit'] },
          outputs: ['printed'],
        },
        { name: 'take', playbook: 'take.yml', needs: ['print'], limit: 'two', outputs: ['taken'] },
      ],
    });
    const step = `/api/v1/jobs/${job.job_id}:print`;
    await until('its second attempt', async () => {
      const { status, attempt } = (await service.get(step)).body;
      return status === 'running' && attempt === 2;
    });
    service.kill('worker');
    service.file('go', '');
    const { steps } = await service.ended(job.job_id);
    const text = '{{ 1 }}\nü';
    expect(steps[0]).toMatchObject({ attempt: 2, outputs: { printed: { one: text, two: text } } });
    expect(steps[1]).toMatchObject({ status: 'successful', outputs: { taken: text } });
    const { hosts, result } = (await service.get(step)).body;
    expect(result.outputs).toEqual(steps[0].outputs);
    // Each host had its end in another attempt.
    for (const stdout of [result.stdout, (await service.get(`/api/v1/jobs/${job.job_id}/stdout`)).text])
      expect(stdout.match(/^\w+ \| CHANGED \| rc=0 >>$/gm)).toEqual(
        ['one', 'two'].map((host) => `${host} | CHANGED | rc=0 >>`),
      );
    expect(Object.keys(hosts.one)).not.toContain('printed');
  });

  it('that are tasks and printed too much to hand it on have failed, and say why', async () => {
    const print = { name: 'print', command: "head -c 70000 /dev/zero | tr '\\0' x", outputs: ['printed'] };
    const job = await service.submit({ steps: [print, word('next', { needs: ['print'] })] });
    const ended = await service.ended(job.job_id);
    expect(ended).toMatchObject({ status: 'failed', failure: { kind: 'exit' } });
    expect(ended.error).toMatch(/printed \(localhost: it has 70000 bytes, and may have 65536\)/);
    expect(stepsOf(ended)).toEqual({ print: 'failed', next: 'skipped' });
  });

  it('that hand nothing on although they were to have failed', async () => {
    const job = await service.submit({
      steps: [{ name: 'silent', playbook: 'hello.yml', outputs: ['word'] }, word('next', { needs: ['silent'] })],
    });
    const ended = await service.ended(job.job_id);
    expect(ended).toMatchObject({ status: 'failed', failure: { kind: 'exit' } });
    expect(ended.error).toContain('word (it was not set)');
    const step = (await service.get(`/api/v1/jobs/${job.job_id}:silent`)).body;
    expect(step).toMatchObject({ status: 'failed', result: { rc: 0, outputs: {} } });
  });
});

describe('a cancel in the middle', () => {
  it('ends all steps, and nothing of them lives when it says canceled', async () => {
    const stubborn = {
      name: 'stubborn',
      playbook: 'stubborn.yml',
      extra_vars: { trace: path.join(service.folder, 'stubborn') },
    };
    const job = await service.submit({
      name: 'cancel',
      steps: [gate('one'), stubborn, word('after', { needs: ['one'] })],
    });
    await begun('one');
    await begun('stubborn');
    expect(alive(job)).toBeGreaterThan(1);
    await whileFrozen(service.processesOf('worker'), async () => {
      const canceled = await service.post(`/api/v1/jobs/${job.job_id}/cancel`, { reason: 'not now' });
      expect(canceled).toMatchObject({ status: 202, body: { status: 'canceling' } });
    });
    const ended = await service.ended(job.job_id);
    expect(alive(job)).toBe(0);
    expect(ended).toMatchObject({ status: 'canceled', error: 'Canceled: not now' });
    expect(stepsOf(ended)).toEqual({ one: 'canceled', stubborn: 'canceled', after: 'skipped' });
    await listed(job, ['job CANCELLED', 'step CANCELLED', 'step CANCELLED']);
  });

  it('right after the submission starts nothing', async () => {
    const job = await service.submit({ name: 'at-once', steps: [gate('early'), gate('earlier')] });
    await service.post(`/api/v1/jobs/${job.job_id}/cancel`);
    const ended = await service.ended(job.job_id);
    expect(ended.status).toBe('canceled');
    expect(alive(job)).toBe(0);
  });
});

/** A job of two steps, the first of which waits at its gate. */
const chain = (name: string): object => ({
  name,
  steps: [gate(`${name}-1`), gate(`${name}-2`, { needs: [`${name}-1`] })],
});
async function beginChain(name: string): Promise<Document> {
  const job = await service.submit(chain(name));
  await begun(`${name}-1`);
  await service.reaches(job.job_id, 'running');
  return job;
}

async function chainEndsOnce(job: Document, name: string): Promise<void> {
  for (const part of [1, 2]) service.file(`${name}-${part}.gate`, '');
  const ended = await service.ended(job.job_id);
  expect(ended).toMatchObject({ status: 'successful', steps: [{ attempt: 1 }, { attempt: 1 }] });
  for (const part of [1, 2]) expect(service.lines(`${name}-${part}`)).toEqual(['begun', 'passed']);
  expect(runsOfSteps(job)).toHaveLength(2);
}

describe('kill -9', () => {
  it.each(someOf(2, ['worker', 'temporal', 'api', 'tree'] as const))(
    'of %s while a step runs, and between two: each runs once',
    async (what) => {
      const name = `killed-${what}`;
      const job = await beginChain(name);
      service.kill(what);
      if (what === 'tree') await service.start();
      service.file(`${name}-1.gate`, '');
      await until('the first step to have passed', () => service.lines(`${name}-1`).length === 2);
      service.kill(what);
      if (what === 'tree') await service.start();
      await chainEndsOnce(job, name);
    },
  );
});

describe('in Temporal', () => {
  it('a job that is terminated is canceling until its steps have ended', async () => {
    const job = await beginChain('terminated');
    await whileFrozen(service.processesOf('worker'), async () => {
      await client.workflow.getHandle(workflowIdOf(job)).terminate('an operator tries it');
      expect((await service.job(job.job_id)).status).toBe('canceling');
    });
    const ended = await until('it to be canceled', async () => {
      const { status, body } = await service.get(`/api/v1/jobs/${job.job_id}`);
      if (status !== 200) return false;
      expect(['canceling', 'canceled']).toContain(body.status);
      if (body.status === 'canceled') expect(alive(job)).toBe(0);
      return body.status === 'canceled' && body;
    });
    expect(ended).toMatchObject({
      error: expect.stringContaining('an operator tries it'),
      steps: [{ status: 'canceled' }, { status: 'skipped' }],
    });
    await listed(job, ['job TERMINATED', 'step CANCELLED']);
  });

  it('a step that is terminated ends its job, which says so when nothing of the step lives', async () => {
    const job = await beginChain('cut');
    const [{ run_id: runId }] = [await service.job(job.job_id)];
    await client.workflow.getHandle(`${workflowIdOf(job)}/${runId}/cut-1`).terminate('by mistake');
    const ended = await until('it to be canceled', async () => {
      const document = await service.job(job.job_id);
      if (document.status === 'canceled') expect(alive(job)).toBe(0);
      return document.status === 'canceled' && document;
    });
    expect(ended.error).toMatch(/step cut-1: its workflow was closed in Temporal \(terminated\); not started: cut-2/);
    expect(stepsOf(ended)).toEqual({ 'cut-1': 'canceled', 'cut-2': 'skipped' });
  });

  const points: [string, number][] = [
    ['to before its steps', 0],
    ['to after the start of a step', 1],
    ['to where it is now', -1],
  ];
  it.each(someOf(1, points))(
    'a running job that is reset %s goes on with the steps that it has',
    async (_where, nth) => {
      const name = `reset${nth}`;
      const job = await beginChain(name);
      const runId = await reset(job, nth);
      expect(runId).not.toBe(job.run_id);
      expect((await service.reaches(job.job_id, 'running')).run_id).toBe(runId);
      service.file(`${name}-1.gate`, '');
      await begun(`${name}-2`);
      await reset(job, nth);
      await chainEndsOnce(job, name);
      expect((await service.get(`/api/v1/jobs/${job.job_id}:${name}-1?run=${job.run_id}`)).body.status).toBe(
        'successful',
      );
      expect((await service.delete(`/api/v1/jobs/${job.job_id}`)).status).toBe(204);
      await listed(job, []);
      expect(runsOfSteps(job)).toEqual([]);
    },
  );

  also('a job that is reset when it has ended gives the same answer, and runs nothing', async () => {
    const job = await beginChain('reset-ended');
    await chainEndsOnce(job, 'reset-ended');
    const runId = await reset(job, 0);
    const after = await until('the new run to end', async () => {
      const document = await service.job(job.job_id);
      return document.run_id === runId && document.status === 'successful' && document;
    });
    expect(stepsOf(after)).toEqual({ 'reset-ended-1': 'successful', 'reset-ended-2': 'successful' });
    await chainEndsOnce(job, 'reset-ended');
  });

  also('a job that was reset to before its steps, and is canceled, ends them', async () => {
    const job = await beginChain('reset-canceled');
    await reset(job, 0);
    await service.post(`/api/v1/jobs/${job.job_id}/cancel`);
    expect((await service.ended(job.job_id)).status).toBe('canceled');
    expect(alive(job)).toBe(0);
  });

  also('a job that was reset to before its steps, and is terminated, ends them', async () => {
    const job = await beginChain('reset-terminated');
    await reset(job, 0);
    await client.workflow.getHandle(workflowIdOf(job)).terminate();
    expect((await service.reaches(job.job_id, 'canceled')).steps[0].status).toBe('canceled');
    expect(alive(job)).toBe(0);
  });

  also('a step that is reset goes on, and its job waits for it', async () => {
    const job = await beginChain('step-reset');
    await reset({ job_id: `${job.job_id}/${job.run_id}/step-reset-1` }, 0);
    await chainEndsOnce(job, 'step-reset');
  });
});

/** Resets the latest run of a job to its nth workflow task; the run that goes on. */
const reset = (job: Pick<Document, 'job_id'>, nth: number): Promise<string> => resetTo(client, workflowIdOf(job), nth);

describe('nothing is left of a job', () => {
  it('that is deleted, with all its runs and their steps', async () => {
    const spec = { name: 'deleted', when_finished: 'rerun', steps: [{ name: 'hello', playbook: 'hello.yml' }] };
    const first = await service.submit(spec);
    await service.ended(first.job_id);
    const second = await service.submit(spec);
    await service.ended(second.job_id);
    await listed(second, ['job COMPLETED', 'job COMPLETED', 'step COMPLETED', 'step COMPLETED']);
    expect(runsOfSteps(second)).toHaveLength(2);
    expect((await service.delete(`/api/v1/jobs/${second.job_id}`)).status).toBe(204);
    await listed(second, []);
    expect(runsOfSteps(second)).toEqual([]);
    expect((await service.get(`/api/v1/jobs/${second.job_id}:hello`)).status).toBe(404);
  });

  also('whose ttl has passed; before, its steps stay for as long as it is open', async () => {
    const job = await service.submit({
      name: 'brief',
      ttl: 1,
      steps: [{ name: 'quick', playbook: 'hello.yml' }, gate('slow', { needs: ['quick'] })],
    });
    await begun('slow');
    // Several clean-ups come by.
    for (const end = Date.now() + 8000; Date.now() < end;) await service.job(job.job_id);
    expect((await service.get(`/api/v1/jobs/${job.job_id}:quick/stdout`)).text).toContain('Hello');
    service.file('slow.gate', '');
    await until(
      'all of it to be gone',
      async () => (await workflowsOf(job)).length === 0 && runsOfSteps(job).length === 0,
    );
    expect((await service.get(`/api/v1/jobs/${job.job_id}`)).status).toBe(404);
  });
});
