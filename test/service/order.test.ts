import { existsSync } from 'node:fs';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { makeToken } from '../commands/run-token.js';
import { livingProcesses, until } from './processes.js';
import { also } from './chaos.js';
import { Service, type Answer } from './service.js';

type Job = Answer['body'];
type Tenant = (method: string, address: string, body?: unknown) => Promise<Answer>;

const services: Service[] = [];
afterEach(async () => {
  for (const service of services.splice(0)) await service.destroy();
});

/** A service with the tenants a and b. */
async function begin(env: Record<string, string>): Promise<{ service: Service; a: Tenant; b: Tenant }> {
  const service = await Service.prepare(env);
  services.push(service);
  const tenants = await Promise.all(
    ['a', 'b'].map(async (name): Promise<Tenant> => {
      const token = await makeToken(service.environment, name, 'jobs:read,jobs:write');
      return (method, address, body) => service.call(method, address, body, { authorization: `Bearer ${token}` });
    }),
  );
  await service.start();
  return { service, a: tenants[0]!, b: tenants[1]! };
}

async function submit(tenant: Tenant, spec: object): Promise<Job> {
  const answer = await tenant('POST', '/api/v1/jobs', spec);
  expect(answer.status, answer.text).toBe(202);
  return answer.body;
}

/** Takes the only slot, until its gate is opened. */
async function hold(service: Service, tenant: Tenant): Promise<Job> {
  const job = await submit(tenant, service.gated('holder'));
  await until('the holder to have begun', () => existsSync(path.join(service.folder, 'holder')));
  return job;
}

const turn = (service: Service, who: string, more: object = {}): object => ({
  playbook: 'order.yml',
  name: who,
  extra_vars: { who, trace: path.join(service.folder, 'order') },
  ...more,
});

/** Opens the gate, and tells who came first, until `count` had their turn. */
async function firstOf(service: Service, count: number): Promise<string[]> {
  service.file('holder.gate', '');
  const order = await until(
    `${count} to have had their turn`,
    () => {
      const came = existsSync(path.join(service.folder, 'order')) ? service.lines('order') : [];
      return came.length >= count && came;
    },
    170,
  );
  return order.slice(0, count);
}

/** Waits until so many jobs wait in Temporal for a slot. */
async function waiting(tenant: Tenant, jobs: Job[]): Promise<void> {
  await until('all to wait for a slot', async () => {
    const last = await Promise.all(jobs.map(({ job_id }) => tenant('GET', `/api/v1/jobs/${job_id}`)));
    return last.every(({ body }) => body.progress?.message?.startsWith('Waiting for a free slot') === true);
  });
}

it('of tenant A with forty jobs and B with two later ones, both of B are among the first four to start', async () => {
  const { service, a, b } = await begin({ MAX_CONCURRENT_PLAYBOOKS: '1' });
  await hold(service, a);
  const ofA: Job[] = [];
  for (let n = 1; n <= 40; n++) ofA.push(await submit(a, turn(service, `a${n}`)));
  await waiting(a, ofA);
  const ofB = [await submit(b, turn(service, 'b1')), await submit(b, turn(service, 'b2'))];
  await waiting(b, ofB);
  expect((await a('GET', `/api/v1/jobs/${ofA.at(-1).job_id}`)).body.progress.message).toMatch(
    /1 of 1 slot\(s\) are taken/,
  );
  const first = await firstOf(service, 4);
  expect(first.filter((who) => who.startsWith('b'))).toHaveLength(2);
}, 600_000);

also(
  'priority 1 starts ahead of 3, in the order of submission within a priority',
  async () => {
    const { service, a } = await begin({ MAX_CONCURRENT_PLAYBOOKS: '1' });
    await hold(service, a);
    const jobs: Job[] = [];
    for (const priority of [3, 5, 1])
      for (const n of [1, 2, 3]) {
        jobs.push(await submit(a, turn(service, `p${priority}-${n}`, { priority })));
        await waiting(a, jobs.slice(-1));
      }
    expect(await firstOf(service, 9)).toEqual(
      ['p1', 'p3', 'p5'].flatMap((priority) => [1, 2, 3].map((n) => `${priority}-${n}`)),
    );
  },
  600_000,
);

also(
  'a tenant of weight 3 gets three starts of four',
  async () => {
    const { service, a, b } = await begin({ MAX_CONCURRENT_PLAYBOOKS: '1', TENANT_WEIGHTS: 'a=3' });
    await hold(service, b);
    for (let n = 1; n <= 8; n++) {
      const ofA = await submit(a, turn(service, `a${n}`));
      const ofB = await submit(b, turn(service, `b${n}`));
      await waiting(a, [ofA]);
      await waiting(b, [ofB]);
    }
    const shares = (await firstOf(service, 8)).filter((who) => who.startsWith('a')).length;
    // One more or less by where its round begins.
    expect(Math.abs(shares - 6), `${shares} of 8`).toBeLessThanOrEqual(1);
  },
  600_000,
);

it('the limit of a tenant holds over kills and restarts, and is passed on by what is canceled or terminated', async () => {
  const { service, a, b } = await begin({ MAX_CONCURRENT_PLAYBOOKS: '5', MAX_CONCURRENT_PER_TENANT: '2' });
  const alive = (prefix: string): number =>
    new Set(
      livingProcesses()
        .filter(({ command }) => command.includes(`${service.dataDir}/runs/${prefix}/`))
        .map(({ environment }) => environment.find((entry) => entry.startsWith('LONGHAUL_ATTEMPT=')))
        .filter((marker) => marker !== undefined),
    ).size;
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, alive('a'))), 100);

  const jobs: Job[] = [];
  for (let n = 1; n <= 6; n++) {
    const job = await submit(a, service.gated(`limited-${n}`));
    jobs.push(job);
    await until('it to run or to wait for the others', async () => {
      const { body } = await a('GET', `/api/v1/jobs/${job.job_id}`);
      return body.status === 'running' || body.progress?.stage === 'waiting';
    });
  }
  const other = await submit(b, service.gated('other'));
  const statuses = async (): Promise<string> => {
    const seen = await Promise.all(jobs.map(({ job_id }) => a('GET', `/api/v1/jobs/${job_id}`)));
    return seen.map(({ body }) => body?.status).join();
  };
  const reach = (wanted: string): Promise<true> =>
    until(wanted, async () => (await statuses().catch(() => '')) === wanted || undefined).catch(
      async (error: unknown) => {
        throw new Error(`${await statuses()} is not ${wanted}\n${service.logs()}`, { cause: error });
      },
    );

  await reach('running,running,pending,pending,pending,pending');
  await until('the other tenant to run', async () => {
    const { body } = await b('GET', `/api/v1/jobs/${other.job_id}`);
    return body.status === 'running';
  });
  const third = (await a('GET', `/api/v1/jobs/${jobs[2].job_id}`)).body;
  expect(third.progress).toMatchObject({ stage: 'waiting', message: expect.stringContaining('which is the limit') });

  service.kill('tree');
  await service.start();
  await reach('running,running,pending,pending,pending,pending');
  await a('POST', `/api/v1/jobs/${jobs[0].job_id}/cancel`);
  await reach('canceled,running,running,pending,pending,pending');
  // What is terminated has no part in the limit any more, and may live until its node has ended it.
  clearInterval(watch);
  expect(most).toBe(2);
  const client = await service.temporal();
  await client.workflow.getHandle('a/gate/limited-2').terminate('by an operator');
  await reach('canceled,canceled,running,running,pending,pending');
  await a('POST', `/api/v1/jobs/${jobs[4].job_id}/cancel`);
  await reach('canceled,canceled,running,running,canceled,pending');
  for (const n of [3, 4, 6]) service.file(`limited-${n}.gate`, '');
  await reach('canceled,canceled,successful,successful,canceled,successful');
});
