import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { also, chaos, pick, seeded } from './chaos.js';
import { signal, until } from './processes.js';
import { resetTo } from './reset.js';
import { Service } from './service.js';

const services: Service[] = [];
afterEach(async () => {
  for (const service of services.splice(0).reverse()) await service.destroy();
});

const often = { CLEANUP_INTERVAL: '0.5' };
/** Longer than several clean-ups. */
const roundsMs = 4000;

async function start(env: Record<string, string> = often): Promise<Service> {
  const service = await Service.start(env);
  services.push(service);
  return service;
}

interface Run {
  job_id: string;
  run_id: string;
}

/** A run that has ended; a busy machine may have removed it already. */
async function finished(service: Service, spec: object): Promise<Run> {
  const run = await service.submit(spec);
  await until(`the end of ${run.job_id}`, async () => {
    const { status, body } = await service.get(`/api/v1/jobs/${run.job_id}?wait=5`);
    return status === 404 || ['successful', 'failed'].includes(body.status);
  });
  return run;
}

const filesOf = (service: Service, run: Run): string => path.dirname(service.attemptFolder(run));
const statusOf = async (service: Service, run: Run, query = ''): Promise<number> =>
  (await service.get(`/api/v1/jobs/${run.job_id}${query}`)).status;

async function untilGone(service: Service, run: Run): Promise<void> {
  await until(
    `${run.job_id} to be gone`,
    async () => (await statusOf(service, run)) === 404 && !existsSync(filesOf(service, run)),
  );
}

describe('a service that cleans up often', () => {
  let service: Service;
  beforeAll(async () => {
    service = await Service.start(often);
  });
  afterAll(() => service.destroy());

  it('a job whose ttl has passed is gone with its files, and its name is free; others stay', async () => {
    const brief = { playbook: 'hello.yml', name: 'brief', ttl: 1 };
    const staying = await finished(service, { playbook: 'hello.yml', name: 'staying' });
    const failed = await finished(service, { playbook: 'failing.yml', name: 'failed', ttl: 1 });
    const first = await finished(service, brief);
    await untilGone(service, first);
    await untilGone(service, failed);
    const above = path.join(service.dataDir, 'runs', 'default', 'failing');
    await until('the folder above to be gone', () => !existsSync(above));

    const second = await finished(service, brief);
    expect(second).toMatchObject({ created: true, run_id: expect.not.stringMatching(first.run_id) });
    await untilGone(service, second);
    expect(await service.job(staying.job_id)).toMatchObject({ status: 'successful', output_available: true });
  });

  it('each run of a job goes by its own ttl, and with the latest one the whole job', async () => {
    const again = { playbook: 'hello.yml', name: 'daily', when_finished: 'rerun' };
    const brief = await finished(service, { ...again, ttl: 1 });
    const second = await finished(service, again);
    const third = await finished(service, again);
    await until('the first run to be gone', () => !existsSync(filesOf(service, brief)));
    const { body } = await service.get('/api/v1/jobs/hello:daily/runs');
    expect(body.items.map(({ run_id }: Run) => run_id)).toEqual([third.run_id, second.run_id]);
    expect((await service.get(`/api/v1/jobs/hello:daily/stdout?run=${second.run_id}`)).text).toContain('Hello');

    const last = await finished(service, { ...again, ttl: 1 });
    for (const run of [last, second, third]) await untilGone(service, run);
    const client = await service.temporal();
    const count = async (): Promise<number> =>
      (await client.workflow.count('WorkflowId = "default/hello/daily"')).count;
    await until('none of them to be listed', async () => (await count()) === 0);
  });

  also('files of a job that was deleted on another machine go when their ttl has passed', async () => {
    const other = await Service.prepare({ TEMPORAL_ADDRESS: service.temporalAddress });
    services.push(other);
    await other.start();
    let run;
    do run = await finished(service, { playbook: 'hello.yml', ttl: 20 });
    while (!existsSync(filesOf(service, run)));
    expect((await other.delete(`/api/v1/jobs/${run.job_id}`)).status).toBe(204);
    expect(existsSync(filesOf(service, run))).toBe(true);
    expect(await statusOf(service, run)).toBe(404);
    await untilGone(service, run);
  });

  it('while Temporal is away, nothing is removed', async () => {
    const expiring = await finished(service, { playbook: 'hello.yml', name: 'expiring', ttl: 15 });
    const temporal = service.processesOf('temporal');
    for (const { pid } of temporal) signal(pid, 'SIGSTOP');
    await delay(15_000 + roundsMs);
    expect(existsSync(service.attemptFolder(expiring))).toBe(true);
    for (const { pid } of temporal) signal(pid, 'SIGCONT');
    await untilGone(service, expiring);
  });
});

also('an open job is not touched, however long it takes, nor what a node has not yet ended', async () => {
  const service = await start();
  const open = await service.submit(service.gated('open', { ttl: 0.1 }));
  const doomed = await service.submit(service.gated('doomed', { ttl: 0.1 }));
  for (const { job_id } of [open, doomed]) await service.reaches(job_id, 'running');

  // The other node cleans up for all, while the one that has the attempts stands still.
  const other = await Service.prepare({ ...often, TEMPORAL_ADDRESS: service.temporalAddress });
  services.push(other);
  const workers = service.processesOf('worker');
  for (const { pid } of workers) signal(pid, 'SIGSTOP');
  await other.start();
  const client = await service.temporal();
  await client.workflow.getHandle('default/gate/doomed').terminate('not wanted');
  await delay(roundsMs);
  expect(service.alive(doomed).length).toBeGreaterThan(0);
  expect(await service.job(doomed.job_id)).toMatchObject({ status: 'canceling', run_id: doomed.run_id });
  expect(await other.job(doomed.job_id)).toMatchObject({ run_id: doomed.run_id });

  for (const { pid } of workers) signal(pid, 'SIGCONT');
  await untilGone(service, doomed);
  expect(service.alive(doomed)).toEqual([]);
  expect(await service.job(open.job_id)).toMatchObject({ status: 'running', run_id: open.run_id });
  expect(service.alive(open).length).toBeGreaterThan(0);
  service.file('open.gate', '');
  await untilGone(service, open);
  expect(service.lines('open')).toEqual(['begun', 'passed']);
});

also('a Temporal database that is lost takes neither results nor running playbooks with it', async () => {
  const service = await start();
  const kept = await finished(service, { playbook: 'hello.yml', name: 'kept' });
  const expired = await finished(service, { playbook: 'hello.yml', name: 'expired', ttl: 20 });
  const running = await service.submit(service.gated('running', { ttl: 0.1 }));
  await service.reaches(running.job_id, 'running');
  await service.interrupt();
  rmSync(path.join(service.dataDir, 'temporal'), { recursive: true });
  await service.start();
  await until('the files of the expired job to be gone', () => !existsSync(filesOf(service, expired)));
  await delay(roundsMs);
  expect(existsSync(filesOf(service, kept))).toBe(true);
  expect(service.alive(running).length).toBeGreaterThan(0);
  expect(existsSync(service.attemptFolder(running))).toBe(true);
  service.file('running.gate', '');
  await until('its files to be gone', () => !existsSync(filesOf(service, running)));
  expect(service.lines('running')).toEqual(['begun', 'passed']);
});

also('a run that another continues after a Reset, and their files, stay until that one has ended', async () => {
  const service = await start();
  const client = await service.temporal();
  const base = await service.submit(service.gated('reset', { ttl: 0.1 }));
  await service.reaches(base.job_id, 'running');
  const goesOn = await resetTo(client, 'default/gate/reset', 0, {}, base.run_id);
  await until('the other run to watch it', async () => {
    const { run_id, status } = await service.job(base.job_id);
    return run_id === goesOn && status === 'running';
  });
  await delay(roundsMs);
  expect(await statusOf(service, base, `?run=${base.run_id}`)).toBe(200);
  expect(service.alive(base).length).toBeGreaterThan(0);

  service.file('reset.gate', '');
  await until('both to be gone', async () => (await statusOf(service, base)) === 404);
  await untilGone(service, base);
  expect(service.lines('reset')).toEqual(['begun', 'passed']);
});

const { rounds, seed } = chaos(1, 25);

it(`clean-up that is killed at random, ${rounds} times, goes on where it was, and takes nothing that is to stay (seed ${seed})`, async () => {
  const random = seeded(seed);
  const service = await start({ CLEANUP_INTERVAL: '0.2' });
  const staying: Run[] = [];
  for (let round = 0; round < rounds; round++) {
    const victim = pick(random, ['worker', 'temporal', 'tree'] as const);
    const again = { playbook: 'hello.yml', when_finished: 'rerun' };
    const going = await Promise.all(
      [1, 2, 3].map((n) => finished(service, { ...again, name: `going-${round}-${n}`, ttl: 2 })),
    );
    going.push(await finished(service, { ...again, name: `going-${round}-1`, ttl: 2 }));
    staying.push(await finished(service, { playbook: 'hello.yml', name: `staying-${round}` }));
    await delay(random() * 2500);
    service.kill(victim);
    if (victim === 'tree') await service.start();
    else await service.ready();
    for (const run of going) await untilGone(service, run);
  }
  for (const { job_id } of staying)
    expect(await service.job(job_id)).toMatchObject({ status: 'successful', output_available: true });
  const left = (): string[] => readdirSync(path.join(service.dataDir, 'runs', 'default', 'hello')).sort();
  // A run is gone by its name before its files are removed.
  await expect.poll(left, { timeout: 60_000 }).toEqual(staying.map(({ job_id }) => job_id.split(':')[1]).sort());
}, 900_000);
