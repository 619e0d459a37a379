import { existsSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Service } from './service.js';

let service: Service;
beforeAll(async () => {
  service = await Service.start();
});
afterAll(() => service.destroy());

describe('a playbook submitted over HTTP', () => {
  it('is accepted, and shows pending, running and successful with its result', async () => {
    const trace = path.join(service.folder, 'seed');
    const answer = await service.post('/api/v1/jobs', {
      playbook: 'gate.yml',
      name: 'seed',
      extra_vars: { trace, gate: `${trace}.gate` },
    });
    expect(answer.status).toBe(202);
    expect(answer.body).toMatchObject({ job_id: 'gate:seed', status: 'pending', created: true, name: 'seed' });
    expect(Date.parse(answer.body.created_at)).not.toBeNaN();
    expect(answer.headers.get('location')).toContain('/api/v1/jobs/gate:seed');

    const running = await service.reaches('gate:seed', 'running');
    expect(running).toMatchObject({ attempt: 1, finished_at: null, result: null, error: null });
    service.file('seed.gate', '');
    const ended = await service.ended('gate:seed');
    expect(ended).toMatchObject({
      status: 'successful',
      error: null,
      failure: null,
      result: { rc: 0, stdout_truncated: false },
    });
    expect(ended.result.stats.localhost).toMatchObject({ ok: 3, changed: 3, failures: 0 });
    expect(ended.result.stdout).toContain('PLAY RECAP');
    expect(ended.created_at <= ended.started_at && ended.started_at <= ended.finished_at).toBe(true);
  });

  it('greets synchronously with ?sync=true', async () => {
    const answer = await service.post('/api/v1/jobs?sync=true', { playbook: 'hello.yml' });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ status: 'successful', rc: 0, stats: { localhost: { ok: 1 } } });
    expect(answer.body.stdout).toContain('Hello, World!');
  });

  it('takes variables', async () => {
    const answer = await service.post('/api/v1/jobs?sync=true', {
      playbook: 'hello.yml',
      extra_vars: { name: 'Ansible' },
    });
    expect(answer.body.stdout).toContain('Hello, Ansible!');
  });

  it('that fails is failed, with its rc and output', async () => {
    const { job_id } = await service.submit({ playbook: 'failing.yml' });
    const ended = await service.ended(job_id);
    expect(ended).toMatchObject({ status: 'failed', failure: { kind: 'exit' }, result: { rc: 2 } });
    expect(ended.error).toContain('2');
    expect(ended.result.stdout).toContain('this is why');
    expect(ended.attempts).toHaveLength(1);
  });

  it('answers its output as text, by tail and by range', async () => {
    const { job_id } = await service.submit({ playbook: 'multi_task.yml', name: 'output' });
    await service.ended(job_id);
    const whole = await service.get(`/api/v1/jobs/${job_id}/stdout`);
    expect(whole.headers.get('content-type')).toContain('text/plain');
    expect(whole.text).toContain('All steps are done');
    const tail = await service.get(`/api/v1/jobs/${job_id}/stdout?tail=3`);
    expect(whole.text.endsWith(tail.text)).toBe(true);
    expect(tail.text.trimEnd().split('\n').length).toBeLessThanOrEqual(3);
    const range = await service.call('GET', `/api/v1/jobs/${job_id}/stdout`, undefined, { range: 'bytes=2-9' });
    expect(range.status).toBe(206);
    expect(range.text).toBe(whole.text.slice(2, 10));
  });

  it('that passes its timeout is timed_out, and its processes are gone', async () => {
    const job = await service.submit({ playbook: 'long.yml', timeout: 1.5, extra_vars: { seconds: 600 } });
    const ended = await service.ended(job.job_id);
    expect(ended).toMatchObject({ status: 'failed', failure: { kind: 'timed_out' } });
    expect(service.alive(job)).toEqual([]);
  });
});

describe('a wrong request', () => {
  it.each([
    ['a playbook above the folder', { playbook: '../hello.yml' }, 400, 'Invalid playbook name'],
    ['an absolute playbook', { playbook: '/etc/hello.yml' }, 400, 'Invalid playbook name'],
    ['an unknown playbook', { playbook: 'nothing.yml' }, 404, 'Playbook not found: nothing.yml'],
    ['an unknown field', { playbook: 'hello.yml', nonsense: 1 }, 422, undefined],
    ['a name that does not fit', { playbook: 'hello.yml', name: 'a b' }, 422, undefined],
    ['a wrong type', { playbook: 'hello.yml', forks: 'many' }, 422, undefined],
    ['no playbook', {}, 422, undefined],
    ['a ttl beyond the retention', { playbook: 'hello.yml', ttl: 40 * 24 * 3600 }, 422, undefined],
    [
      'a variable that would run code here',
      { playbook: 'hello.yml', extra_vars: { ansible_python_interpreter: '/tmp/evil' } },
      422,
      undefined,
    ],
    ['a path with two names', { playbook: './hello.yml' }, 422, undefined],
    [
      'a limit that reads a file, where Ansible finds one',
      { playbook: 'hello.yml', limit: 'a]@/etc/passwd' },
      422,
      undefined,
    ],
    ['a limit that reads a file', { playbook: 'hello.yml', limit: '@/etc/passwd' }, 422, undefined],
  ])('%s is refused', async (_what, spec, status, said) => {
    const answer = await service.post('/api/v1/jobs', spec);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(answer.body).toMatchObject({ status });
    if (said !== undefined) expect(`${answer.body.title} ${answer.body.detail}`).toContain(said);
    if (status === 422)
      expect(answer.body.errors[0]).toMatchObject({ pointer: expect.any(String), detail: expect.any(String) });
  });

  it('for a job that is not there, or has no possible name, is a 404', async () => {
    for (const id of ['hello:nobody', 'nonsense', 'a:b:c']) {
      const answer = await service.get(`/api/v1/jobs/${id}`);
      expect(answer.status).toBe(404);
      expect(answer.body.title).toContain('Job not found');
    }
  });

  it('of broken JSON is a 400, and of too large a body a 413', async () => {
    expect((await service.post('/api/v1/jobs', '{"playbook": ')).status).toBe(400);
    const long = await service.post('/api/v1/jobs', '{"playbook": "hello.yml", "extra_vars": {"n": 9007199254740993}}');
    expect(long).toMatchObject({ status: 400, body: { detail: expect.stringContaining('9007199254740993') } });
    expect(
      (await service.post('/api/v1/jobs', { playbook: 'hello.yml', metadata: { x: 'y'.repeat(1_100_000) } })).status,
    ).toBe(413);
  });

  it('from a page of another origin does nothing', async () => {
    const answer = await service.post(
      '/api/v1/jobs',
      { playbook: 'hello.yml', name: 'foreign' },
      { origin: 'http://evil.example' },
    );
    expect(answer.status).toBe(403);
    expect((await service.get('/api/v1/jobs/hello:foreign')).status).toBe(404);
  });
});

describe('values are data', () => {
  it('a Jinja expression in any value runs nothing', async () => {
    const evil = path.join(service.folder, 'evil');
    const jinja = `{{ lookup('pipe', 'touch ${evil}') }}`;
    const specs = [
      { extra_vars: { name: jinja, nested: { list: [jinja], [jinja]: jinja } } },
      { metadata: { note: jinja }, labels: [jinja] },
      { limit: jinja },
      { tags: [jinja] },
      { skip_tags: jinja },
      { inventory: `${jinja},` },
      { inventory: jinja },
      { inventory: { all: { hosts: { localhost: { ansible_connection: 'local', name: jinja } } } } },
      { inventory: { all: { hosts: { [jinja]: null } } } },
      { inventory: { all: { vars: { name: jinja }, hosts: { localhost: { ansible_connection: 'local' } } } } },
    ];
    for (const spec of specs) {
      const answer = await service.post('/api/v1/jobs?sync=true', { playbook: 'hello.yml', ...spec });
      expect([200, 422]).toContain(answer.status);
      expect(existsSync(evil)).toBe(false);
    }
    const answer = await service.post('/api/v1/jobs?sync=true', { playbook: 'hello.yml', extra_vars: { name: jinja } });
    expect(answer.body.stdout).toContain("lookup('pipe'");
  });
});

describe('around the jobs', () => {
  it('the playbooks are listed', async () => {
    const { body } = await service.get('/api/v1/playbooks');
    const paths = body.items.map((item: { playbook: string }) => item.playbook);
    expect(paths).toEqual(expect.arrayContaining(['hello.yml', 'failing.yml', 'long.yml', 'multi_task.yml']));
  });

  it('the service tells that it lives, that it is ready, and what it understands', async () => {
    expect((await service.get('/healthz')).status).toBe(200);
    expect((await service.get('/readyz')).status).toBe(200);
    const { body } = await service.get('/openapi.json');
    expect(body.openapi).toMatch(/^3\.1/);
    expect(Object.keys(body.paths)).toEqual(expect.arrayContaining(['/api/v1/jobs', '/api/v1/jobs/{job_id}']));
    const docs = await service.get('/docs');
    expect(docs.status).toBe(200);
    expect(docs.text).toContain('swagger');
  });
});
