import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createFolderOnce, createOnce } from '../../src/disk/durable.js';
import { JobSpec } from '../../src/job/spec.js';
import { nodeIdOf } from '../../src/node/identity.js';
import { also, chaos, pick, seeded } from './chaos.js';
import { OwnTemporal } from './own-temporal.js';
import { signal, until } from './processes.js';
import { Service, type Answer } from './service.js';

let temporal: OwnTemporal;
let service: Service;

/** A service whose Temporal is away only when, and as long as, the test wants it. */
async function start(env: Record<string, string> = {}): Promise<void> {
  service = await Service.start({
    TEMPORAL_ADDRESS: temporal.address,
    FALLBACK: 'sync',
    FALLBACK_AFTER: '0.5',
    ...env,
  });
}
beforeEach(async () => {
  temporal = await OwnTemporal.start();
});
afterEach(async () => {
  await service.destroy();
  await temporal.destroy();
});

/** An unnamed job that appends `begun` to a trace, waits for `<trace>.gate`, and appends `passed`. */
function gated(trace: string, more: object = {}): object {
  const file = path.join(service.folder, trace);
  return { playbook: 'gate.yml', extra_vars: { trace: file, gate: `${file}.gate` }, ...more };
}
const submit = (spec: object, query = ''): Promise<Answer> => service.post(`/api/v1/jobs${query}`, spec);
const begun = (trace: string): Promise<boolean> =>
  until(`${trace} to have begun`, () => existsSync(path.join(service.folder, trace)));
const records = (): string[] => {
  const folder = path.join(service.dataDir, 'foreground');
  // One that is being removed has a name with a dot.
  return existsSync(folder) ? readdirSync(folder).filter((name) => !name.startsWith('.')) : [];
};
const slots = (): string[] => readdirSync(path.join(service.dataDir, 'slots'));
const foreground = async (): Promise<{ running: number; to_enter: number }> =>
  (await service.get('/healthz')).body.foreground;

/** The job of which a record is there: whoever submitted it has no answer yet. */
async function recorded(): Promise<{ job_id: string; run_id: string }> {
  const name = await until('a record', () => records().find((found) => !found.startsWith('.')));
  return { job_id: `gate:${name}`, run_id: name };
}

/** The trace that a job in the foreground writes to. */
function traceOf(job: { job_id: string; run_id: string }): string {
  const spec = JSON.parse(readFileSync(path.join(service.attemptFolder(job), 'spec.json'), 'utf8'));
  return path.basename(spec.extra_vars.trace);
}

/** Starts Temporal again, and waits until it has all jobs that ran without it. */
async function temporalIsBack(): Promise<void> {
  await temporal.start();
  await until('all to be entered', async () => records().length === 0 && (await service.get('/readyz')).status === 200);
}

/** What a document says of the job, without what is Temporal's. */
function told(document: Answer['body']): object {
  return Object.fromEntries(Object.entries(document).filter(([part]) => part !== 'run_id' && part !== 'links'));
}

it('while Temporal is away unnamed jobs run in the foreground and say why, and named ones are answered 503', async () => {
  await start();
  const before = await service.submit({ playbook: 'hello.yml', name: 'before' });
  await service.ended(before.job_id);
  await temporal.kill();

  const plain = await submit({ playbook: 'hello.yml' });
  expect(plain.status).toBe(200);
  expect(plain.body).toMatchObject({ status: 'successful', execution_mode: 'foreground', created: true });
  expect(plain.body.fallback_reason).toContain(temporal.address);
  const synced = await submit({ playbook: 'failing.yml', metadata: { ticket: 7 } }, '?sync=true');
  expect(synced.status).toBe(200);
  expect(synced.body).toMatchObject({ status: 'failed', execution_mode: 'foreground', failure: { kind: 'exit' } });
  const waited = await submit({ playbook: 'hello.yml' }, '?wait=60');
  expect(waited).toMatchObject({ status: 200, body: { status: 'successful', execution_mode: 'foreground' } });
  const briefly = await submit(gated('briefly'), '?wait=1');
  expect(briefly).toMatchObject({ status: 202, body: { execution_mode: 'foreground' } });

  for (const [spec, headers] of [
    [{ playbook: 'hello.yml', name: 'new' }, {}],
    [{ playbook: 'hello.yml', name: 'before' }, {}],
    [{ playbook: 'hello.yml' }, { 'idempotency-key': 'k' }],
  ] as const)
    expect(await service.post('/api/v1/jobs', spec, headers)).toMatchObject({
      status: 503,
      body: { type: '/problems/temporal-unavailable', detail: expect.stringContaining('whether the name is taken') },
    });
  const read = await service.get(`/api/v1/jobs/${before.job_id}`);
  expect(read).toMatchObject({ status: 503, body: { type: '/problems/temporal-unavailable' } });
  expect(read.body.detail).not.toMatch(/name|submi/i);

  const health = await service.get('/healthz');
  expect(health).toMatchObject({
    status: 200,
    body: { status: 'ok', temporal: 'away', foreground: { running: 1, to_enter: 3 } },
  });
  expect(await service.get('/readyz')).toMatchObject({
    status: 503,
    body: { checks: { temporal: expect.stringContaining('in the foreground') }, queue: null },
  });

  const documents: Answer['body'][] = [];
  for (const { body } of [plain, synced, waited]) {
    const document = await service.job(body.job_id);
    expect(document).toMatchObject({ run_id: body.run_id, execution_mode: 'foreground', node: expect.any(String) });
    expect(document.result.stdout).toContain('PLAY RECAP');
    expect((await service.get(`/api/v1/jobs/${body.job_id}/stdout?run=${body.run_id}`)).text).toBe(
      document.result.stdout,
    );
    expect((await service.get(`/api/v1/jobs/${body.job_id}/runs`)).body.items).toHaveLength(1);
    documents.push(document);
  }
  expect(await service.delete(`/api/v1/jobs/${plain.body.job_id}`)).toMatchObject({
    status: 503,
    body: { type: '/problems/job-entering' },
  });

  // The very API process that saw it go: nobody starts it again.
  const [api] = service.processesOf('api');
  await temporal.start();
  await until('those that have ended to be entered', async () => (await foreground()).to_enter === 0);
  service.file('briefly.gate', '');
  await service.ended(briefly.body.job_id);
  await until('the last to be entered', () => records().length === 0);
  expect(service.processesOf('api').map(({ pid }) => pid)).toEqual([api!.pid]);

  const client = await service.temporal();
  for (const document of documents) {
    const entered = await service.job(document.job_id);
    expect(entered.run_id).not.toBe(document.run_id);
    expect(told(entered)).toEqual(told(document));
    expect((await service.get(`/api/v1/jobs/${document.job_id}?run=${document.run_id}`)).body).toEqual(entered);
    expect((await service.get(`/api/v1/jobs/${document.job_id}/stdout?run=${document.run_id}`)).text).toBe(
      document.result.stdout,
    );
    const query = `name = '${document.name}' AND status = '${document.status}' AND ExecutionStatus != 'Running'`;
    await until('lists to have it', async () => (await client.workflow.count(query)).count === 1);
  }
  expect(await service.job(before.job_id)).toMatchObject({ execution_mode: 'workflow', fallback_reason: null });
  expect(slots()).toEqual([]);
  expect((await service.delete(`/api/v1/jobs/${plain.body.job_id}`)).status).toBe(204);
  expect((await service.get(`/api/v1/jobs/${plain.body.job_id}`)).status).toBe(404);
  expect(existsSync(path.dirname(service.attemptFolder(plain.body)))).toBe(false);
});

also(
  'a Temporal that listens and does not answer may have taken what was sent: 503, and nothing in the foreground',
  async () => {
    await start();
    temporal.freeze();
    expect(await submit(gated('frozen'))).toMatchObject({
      status: 503,
      body: { type: '/problems/temporal-unavailable', detail: expect.stringContaining('Idempotency-Key') },
    });
    const { checks } = (await service.get('/readyz')).body;
    expect(checks.temporal).toContain('503');
    expect(checks.temporal).not.toContain('foreground');
    expect(records()).toEqual([]);
    temporal.thaw();
    service.file('frozen.gate', '');
    await service.ready();
  },
);

also('with FALLBACK=none an unnamed job is answered 503 like any other', async () => {
  await start({ FALLBACK: 'none' });
  await temporal.kill();
  expect(await submit({ playbook: 'hello.yml' })).toMatchObject({ status: 503 });
  expect(records()).toEqual([]);
});

it('a job in the foreground outlives kill -9 of the API, runs once, and can be canceled by the next one', async () => {
  await start();
  await temporal.kill();
  const [kept, unwanted] = [submit(gated('kept')), submit(gated('unwanted'))].map((answer) =>
    answer.catch(() => undefined),
  );
  await Promise.all([begun('kept'), begun('unwanted')]);
  const jobs = records().map((name) => ({ job_id: `gate:${name}`, run_id: name }));
  expect(jobs).toHaveLength(2);
  service.kill('api');
  await Promise.all([kept, unwanted]);
  await until('the API to be back', async () => (await service.get('/healthz').catch(() => undefined))?.status === 200);
  const job = jobs.find((one) => traceOf(one) === 'kept')!;
  const other = jobs.find((one) => traceOf(one) === 'unwanted')!;
  for (const { job_id } of jobs) expect(await service.job(job_id)).toMatchObject({ status: 'running', attempt: 1 });

  expect((await service.post(`/api/v1/jobs/${other.job_id}/cancel`, { reason: 'not today' })).status).toBe(202);
  const canceled = await service.reaches(other.job_id, 'canceled');
  expect(canceled).toMatchObject({ error: expect.stringContaining('not today'), execution_mode: 'foreground' });
  expect(service.alive(other)).toEqual([]);
  expect(await service.post(`/api/v1/jobs/${other.job_id}/cancel`)).toMatchObject({ status: 409 });
  service.file('kept.gate', '');
  const ended = await service.ended(job.job_id);
  expect(ended).toMatchObject({ status: 'successful', attempt: 1 });

  await temporalIsBack();
  expect(told(await service.job(job.job_id))).toEqual(told(ended));
  expect(told(await service.job(other.job_id))).toEqual(told(canceled));
  expect(service.lines('kept')).toEqual(['begun', 'passed']);
  expect(service.lines('unwanted')).toEqual(['begun']);
  expect(slots()).toEqual([]);
});

also(
  'of a job in the foreground whose service ends, the POST is answered as it stands; it is found at the next start',
  async () => {
    await start();
    await temporal.kill();
    const answer = submit(gated('left'));
    await begun('left');
    const job = await recorded();
    await service.interrupt();
    expect(await answer).toMatchObject({
      status: 202,
      body: { job_id: job.job_id, status: 'running', execution_mode: 'foreground' },
    });
    await temporal.start();
    await service.start();
    service.file('left.gate', '');
    expect(await service.ended(job.job_id)).toMatchObject({ status: 'successful', attempt: 1 });
    expect(service.lines('left')).toEqual(['begun', 'passed']);
  },
);

also('a foreground job that a crash destroyed is tried again as its policy says', async () => {
  await start();
  await temporal.kill();
  const answer = submit(gated('again', { retry: { max_attempts: 2, backoff: [0.5], on: ['lost'] } }));
  await begun('again');
  const job = await recorded();
  const { supervisor, ansible } = service.pidsOf(job);
  for (const pid of [supervisor, ansible]) signal(pid, 'SIGKILL');
  await until('attempt 2', () => existsSync(path.join(service.attemptFolder(job, 2), 'started')));
  service.file('again.gate', '');
  expect(await answer).toMatchObject({ status: 200, body: { status: 'successful' } });
  const document = await service.job(job.job_id);
  expect(document.attempts).toMatchObject([
    { attempt: 1, failure: { kind: 'lost' } },
    { attempt: 2, failure: null },
  ]);
  await temporalIsBack();
  expect(told(await service.job(job.job_id))).toEqual(told(document));
});

also('the slots hold for both kinds of jobs: without a free one, 503 and nothing is started', async () => {
  await start({ MAX_CONCURRENT_PLAYBOOKS: '2' });
  const inTemporal = await service.submit(service.gated('workflow'));
  await begun('workflow');
  await temporal.kill();
  const running = submit(gated('alone'));
  await begun('alone');
  const refused = await submit(gated('refused'));
  expect(refused).toMatchObject({ status: 503, body: { type: '/problems/no-free-slot' } });
  expect(refused.headers.get('retry-after')).not.toBeNull();
  expect(records()).toHaveLength(1);
  expect(slots()).toHaveLength(2);

  // The sweep of the worker leaves alone what Temporal has never heard of.
  await temporal.start();
  await service.ready();
  const waiting = await service.submit(service.gated('waiting'));
  service.file('workflow.gate', '');
  await service.ended(inTemporal.job_id);
  await begun('waiting');
  expect(service.alive(await recorded()).length).toBeGreaterThan(0);
  for (const name of ['alone', 'waiting']) service.file(`${name}.gate`, '');
  expect(await running).toMatchObject({ status: 200, body: { status: 'successful' } });
  await service.ended(waiting.job_id);
  await until('it to be entered', () => records().length === 0);
  expect(existsSync(path.join(service.folder, 'refused'))).toBe(false);
  for (const name of ['workflow', 'alone', 'waiting']) expect(service.lines(name)).toEqual(['begun', 'passed']);
});

also('of two APIs on a data folder the other one cancels, and takes over what a killed one had accepted', async () => {
  await start();
  const [first] = service.processesOf('api');
  const other = await service.secondApi();
  await temporal.kill();
  const answers = ['taken-over', 'ended-by-other'].map((trace) =>
    service.post(`${other}/api/v1/jobs`, gated(trace)).catch(() => undefined),
  );
  await Promise.all([begun('taken-over'), begun('ended-by-other')]);
  const jobs = records().map((name) => ({ job_id: `gate:${name}`, run_id: name }));
  const named = (trace: string): { job_id: string; run_id: string } => jobs.find((job) => traceOf(job) === trace)!;
  const canceled = named('ended-by-other').job_id;
  expect((await service.post(`/api/v1/jobs/${canceled}/cancel`)).status).toBe(202);
  expect(await service.reaches(canceled, 'canceled')).toMatchObject({ attempt: 1 });
  expect(await answers[1]).toMatchObject({ status: 200, body: { status: 'canceled' } });

  for (const { pid } of service.processesOf('api')) if (pid !== first!.pid) signal(pid, 'SIGKILL');
  await answers[0];
  const owners = path.join(service.dataDir, 'foreground', named('taken-over').run_id);
  await until('the first API to take over', () => existsSync(path.join(owners, 'owner.2')));
  expect(JSON.parse(readFileSync(path.join(owners, 'owner.2'), 'utf8')).pid).toBe(first!.pid);
  service.file('taken-over.gate', '');
  expect(await service.ended(named('taken-over').job_id)).toMatchObject({ status: 'successful', attempt: 1 });
  await temporalIsBack();
  expect(service.lines('taken-over')).toEqual(['begun', 'passed']);
});

also('of a job whose API died before it was accepted nothing is left; one of another node is not touched', async () => {
  await start({ MAX_CONCURRENT_PLAYBOOKS: '1' });
  const node = nodeIdOf(service.dataDir);
  const dead = { pid: 1, start: 1, boot: 'another', pidns: 'x' };
  const left = async (name: string, order: object): Promise<void> => {
    const common = {
      tenant: 'default',
      playbook_name: 'hello',
      name,
      created_at: new Date().toISOString(),
      reason: 'x',
    };
    await createFolderOnce(path.join(service.dataDir, 'foreground', name), {
      'order.json': JSON.stringify({ ...common, spec: JobSpec.parse({ playbook: 'hello.yml' }), ...order }),
      'owner.1': JSON.stringify(dead),
    });
  };
  const holder = { node, workflow_id: 'default/hello/unaccepted', run_id: 'unaccepted', attempt: 1, foreground: true };
  expect(await createOnce(path.join(service.dataDir, 'slots', '1'), JSON.stringify(holder))).toBe(true);
  await left('unaccepted', { node });
  await left('elsewhere', { node: 'another' });
  await until('the slot to be free', () => slots().length === 0);
  await until('its record to be gone', () => !records().includes('unaccepted'));
  expect(records()).toEqual(['elsewhere']);
  const job = await service.submit({ playbook: 'hello.yml' });
  await service.ended(job.job_id);
  expect((await service.get('/api/v1/jobs/hello:unaccepted')).status).toBe(404);
});

also('a job that Temporal will not take keeps no other one from being entered', async () => {
  await start();
  await temporal.kill();
  const [taken, other] = [await submit({ playbook: 'hello.yml' }), await submit({ playbook: 'hello.yml' })];
  for (const { pid } of service.processesOf('api')) signal(pid, 'SIGSTOP');
  await temporal.start();
  const client = await service.temporal();
  // Somebody gives its name away before the API comes to enter it.
  await until('a run to have the name', () =>
    client.workflow.start('else', { workflowId: `default/hello/${taken.body.name}`, taskQueue: 'else' }).then(
      () => true,
      () => false,
    ),
  );
  for (const { pid } of service.processesOf('api')) signal(pid, 'SIGCONT');
  await until('the other one to be entered', () => !records().includes(other.body.name));
  expect(records()).toEqual([taken.body.name]);
  expect(await service.job(other.body.job_id)).toMatchObject({ status: 'successful', execution_mode: 'foreground' });
});

/** Waits until nothing is under way, neither in Temporal nor in the foreground. */
async function idle(): Promise<void> {
  const counts = async (): Promise<(number | undefined)[]> => {
    const { queue, foreground: local } = (await service.get('/readyz')).body;
    return [queue?.pending, queue?.running, local.running, local.to_enter];
  };
  await until('nothing to be under way', async () => (await counts()).every((count) => count === 0), 600);
}

const { rounds, seed } = chaos(1, 200);

it(`kill -9 of Temporal in the middle of a POST, ${rounds} times: nothing twice, nothing accepted and lost (seed ${seed})`, async () => {
  await start();
  const random = seeded(seed);
  const kinds = ['named', 'keyed', 'unnamed'] as const;
  const seen: { kind: (typeof kinds)[number]; trace: string; answer: Answer; again: () => Promise<Answer> }[] = [];
  for (let round = 0; round < rounds; round++) {
    const kind = pick(random, kinds);
    const trace = `round-${round}`;
    service.file(`${trace}.gate`, '');
    const spec = gated(trace, kind === 'named' ? { name: trace } : {});
    const again = (): Promise<Answer> =>
      service.post('/api/v1/jobs', spec, kind === 'keyed' ? { 'idempotency-key': trace } : {});
    const posted = again();
    await delay(random() * 60);
    await temporal.kill();
    // Away for less or for longer than it takes until jobs run in the foreground; now and then for longer than a request waits.
    await delay(random() < 0.05 ? 12_000 : random() * 1500);
    await temporal.start();
    seen.push({ kind, trace, answer: await posted, again });
    if (round % 10 === 9) await idle();
  }
  const statuses: Record<string, number> = {};
  for (const { kind, trace, answer, again } of seen) {
    const mode = answer.body.execution_mode ?? 'refused';
    statuses[`${kind} ${answer.status} ${mode}`] = (statuses[`${kind} ${answer.status} ${mode}`] ?? 0) + 1;
    expect([200, 202, 503]).toContain(answer.status);
    if (answer.status !== 503) {
      expect({ trace, status: (await service.ended(answer.body.job_id)).status }).toEqual({
        trace,
        status: 'successful',
      });
    }
    if (kind !== 'unnamed') {
      const repeated = await again();
      if (answer.status !== 503) expect(repeated.body.job_id).toBe(answer.body.job_id);
      await service.ended(repeated.body.job_id);
    }
  }
  await idle();
  for (const { kind, trace, answer } of seen) {
    const lines = existsSync(path.join(service.folder, trace)) ? service.lines(trace) : [];
    const atLeast = answer.status !== 503 || kind !== 'unnamed';
    expect({ trace, kind, status: answer.status, lines }).toEqual({
      trace,
      kind,
      status: answer.status,
      lines: atLeast || lines.length > 0 ? ['begun', 'passed'] : [],
    });
  }
  expect(records()).toEqual([]);
  console.log(JSON.stringify(statuses));
}, 3_600_000);
