import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobSummary } from '../../src/job/summary.js';
import { chaos, pick, seeded } from './chaos.js';
import { cloneRuns, makeModels, outcomeOf, pools, randomRun, startJob, type NewJob, type Run } from './many-runs.js';
import { until } from './processes.js';
import { Service } from './service.js';

const jobs = '/api/v1/jobs';
const { rounds: many, seed } = chaos(400, 10_000);
const random = seeded(seed);

type Filter = Partial<Record<Exclude<keyof typeof pools, never>, string[]>> & {
  name?: string[];
  since?: string;
  until?: string;
};

let service: Service;
let temporal: Client;
let runs: Run[];

beforeAll(async () => {
  service = await Service.start();
  temporal = await service.temporal();
  // Before anything was submitted: whatever a list needs of Temporal, it makes itself.
  expect((await service.get(jobs)).body).toEqual({ items: [], next_cursor: null });
  const models = await makeModels(temporal);
  const all = "(WorkflowId STARTS_WITH 'models/' OR WorkflowId STARTS_WITH 'key-tenant/')";
  const closed = async (): Promise<boolean> =>
    (await temporal.workflow.count(`${all} AND ExecutionStatus != 'Running'`)).count === 7;
  await until('the models to close', closed);
  await service.interrupt();
  const own = Array.from({ length: many }, (_, number) => randomRun(random, 'default', number));
  const others = Array.from({ length: many / 20 }, (_, number) => randomRun(random, 'other', number));
  cloneRuns(service.dataDir, models, [...own, ...others]);
  runs = own.map(({ run }) => run);
  await service.start();
}, 300_000);
afterAll(() => service.destroy());

/** The items of all pages, and how many pages those were. */
async function listAll(filter: Filter, limit: number, between?: () => Promise<void>): Promise<JobSummary[]> {
  const items: JobSummary[] = [];
  let next: string | null = `${jobs}?${parametersOf(filter, limit)}`;
  while (next !== null) {
    const { status, body, headers, text } = await service.get(next);
    if (status !== 200) throw new Error(`${next}: ${status} ${text}`);
    expect(body.items.length).toBeLessThanOrEqual(limit);
    items.push(...body.items);
    const link = /^<(.*)>; rel="next"$/.exec(headers.get('link') ?? '')?.[1] ?? null;
    expect(link === null ? null : new URL(link, service.url).searchParams.get('cursor')).toBe(body.next_cursor);
    next = link;
    await between?.();
  }
  return items;
}

function parametersOf(filter: Filter, limit?: number): string {
  const { playbook = [], since, until: end, ...lists } = filter;
  const parameters = new URLSearchParams(
    Object.entries(lists).map(([name, values]): [string, string] => [name, values.join(',')]),
  );
  for (const value of playbook) parameters.append('playbook', value);
  if (since !== undefined) parameters.set('since', since);
  if (end !== undefined) parameters.set('until', end);
  if (limit !== undefined) parameters.set('limit', String(limit));
  return parameters.toString();
}

/** What a filter lets through, in a list's order. */
function expected(all: readonly Run[], { since, until: end, ...lists }: Filter): Run[] {
  const isMeant = (run: Run): boolean =>
    Object.entries(lists).every(([field, values]) => values.includes(run[field as keyof typeof lists] ?? '')) &&
    (since === undefined || run.start >= Date.parse(since) * 1000) &&
    (end === undefined || run.start < Date.parse(end) * 1000);
  const closeOf = ({ close }: Run): number => close ?? Infinity;
  return all
    .filter(isMeant)
    .sort(
      (one, other) =>
        (closeOf(other) === closeOf(one) ? 0 : closeOf(other) - closeOf(one)) ||
        other.start - one.start ||
        (one.runId < other.runId ? -1 : 1),
    );
}

const idsOf = (items: readonly JobSummary[]): string[] => items.map(({ run_id }) => run_id);
const time = (micros: number): string => new Date(Math.floor(micros / 1000)).toISOString();

function randomFilter(): Filter {
  const filter: Filter = {};
  for (const [field, pool] of Object.entries(pools) as [keyof typeof pools, readonly string[]][]) {
    if (random() < 0.25) filter[field] = Array.from({ length: 1 + Math.floor(random() * 4) }, () => pick(random, pool));
  }
  if (random() < 0.1) filter.name = [pick(random, runs).name, 'nobody', pick(random, runs).name];
  if (random() < 0.2) filter.since = time(pick(random, runs).start);
  if (random() < 0.2) filter.until = time(pick(random, runs).start);
  return filter;
}

describe(`of ${many} jobs`, () => {
  it('each shows what it is, and all of them come in order', async () => {
    const items = await listAll({}, 500);
    const all = expected(runs, {});
    expect(idsOf(items)).toEqual(all.map(({ runId }) => runId));
    const shown = items.map(({ run_id, tenant, workspace, playbook, playbook_name, name, status, failure, node }) => ({
      ...{ runId: run_id, tenant, workspace, playbook, playbook_name, name, status, node },
      failure: failure?.kind ?? null,
    }));
    expect(shown).toEqual(
      all.map(({ runId, tenant, workspace, playbook, playbook_name, name, status, node, failure }) => ({
        ...{ runId, tenant, workspace, playbook, playbook_name, name, status, node },
        failure,
      })),
    );
  });

  it('each value of each filter lists and counts exactly those that have it', async () => {
    for (const [field, pool] of Object.entries(pools) as [keyof typeof pools, readonly string[]][]) {
      for (const value of pool) {
        const filter = { [field]: [value] };
        const meant = expected(runs, filter);
        expect(idsOf(await listAll(filter, 500)), `${field}=${value}`).toEqual(meant.map(({ runId }) => runId));
        const { body } = await service.get(`${jobs}/counts?${parametersOf(filter)}`);
        const counts = Object.fromEntries(
          pools.status.map((status) => [status, meant.filter((run) => run.status === status).length]),
        );
        expect(body, `${field}=${value}`).toEqual({ ...counts, total: meant.length });
      }
    }
  }, 600_000);

  it('other words for a status are understood', async () => {
    for (const [word, status] of [
      ['queued', 'pending'],
      ['completed', 'successful'],
      ['cancelled', 'canceled'],
    ] as const) {
      const { body } = await service.get(`${jobs}?limit=10&status=${word}`);
      expect(idsOf(body.items)).toEqual(
        expected(runs, { status: [status] })
          .slice(0, 10)
          .map(({ runId }) => runId),
      );
    }
  });

  it('filters combined list exactly those that all of them mean, while other jobs come and go', async () => {
    const coming = new ComingAndGoing();
    await coming.begin();
    try {
      const known = new Set(runs.map(({ runId }) => runId));
      for (let round = 0; round < chaos(20, 60).rounds; round++) {
        const filter = randomFilter();
        const meant = expected(runs, filter);
        const limit = Math.min(500, Math.max(3, Math.ceil(meant.length / (5 + random() * 20))));
        const ids = idsOf(await listAll(filter, limit));
        const said = `seed ${seed}, round ${round}: ${parametersOf(filter, limit)}`;
        expect(new Set(ids).size, said).toBe(ids.length);
        expect(
          ids.filter((id) => known.has(id)),
          said,
        ).toEqual(meant.map(({ runId }) => runId));
        const lasting = expected(coming.lasting, filter).map(({ runId }) => runId);
        // What a job is may change while it is listed; what it was called and when it began doesn't.
        if (!('status' in filter || 'failure' in filter)) expect(ids, said).toEqual(expect.arrayContaining(lasting));
      }
      const { counts } = coming;
      await until('enough to have ended and been deleted', () => counts.ended > 5 && counts.deleted > 0, 300);
    } finally {
      await coming.end();
    }
  }, 1_200_000);
});

/** Jobs that start, end and are deleted behind the back of whoever lists. */
class ComingAndGoing {
  /** They end at some time, and are not deleted. */
  readonly lasting: Run[] = [];
  readonly counts = { started: 0, ended: 0, deleted: 0 };
  private goesOn = true;
  private going: Promise<void> | undefined;

  async begin(): Promise<void> {
    for (let number = 0; number < 40; number++) {
      const job = this.someJob(`lasting-${number}`);
      // Nobody takes it up: it is pending, without a node, until it is terminated.
      const runId = await startJob(temporal, job);
      const unknown = { node: null, schedule: null, failure: null, status: 'pending', close: null } as const;
      this.lasting.push({ ...job, ...unknown, runId, start: Date.now() * 1000 });
    }
    const names = this.lasting.map(({ name }) => name);
    await until('the lasting jobs to be listed', async () => (await listAll({ name: names }, 100)).length === 40);
    this.going = this.go();
  }

  async end(): Promise<void> {
    this.goesOn = false;
    await this.going;
  }

  private someJob(name: string): Pick<Run, 'tenant' | 'workspace' | 'playbook' | 'playbook_name' | 'name'> {
    const { tenant, workspace, playbook, playbook_name } = randomRun(random, 'default', 0).run;
    return { tenant, workspace, playbook, playbook_name, name };
  }

  private async go(): Promise<void> {
    const open = [...this.lasting];
    for (let number = 0; this.goesOn; number++) {
      const name = `passing-${number}`;
      const job = this.someJob(name);
      await startJob(temporal, { ...job, outcome: outcomeOf(pick(random, ['successful', 'failed'] as const), 'exit') });
      this.counts.started++;
      const [ends] = open.splice(Math.floor(random() * open.length), 1);
      if (ends !== undefined) {
        await temporal.workflow.getHandle(`default/${ends.playbook_name}/${ends.name}`).terminate('it ends');
        this.counts.ended++;
      }
      if (number % 5 === 4) {
        const handle = temporal.workflow.getHandle(`default/${job.playbook_name}/${name}`);
        await handle.result().catch(() => undefined);
        const execution = { workflowId: handle.workflowId };
        await temporal.workflowService.deleteWorkflowExecution({ namespace: 'default', workflowExecution: execution });
        this.counts.deleted++;
      }
      await delay(250);
    }
  }
}

describe('a job that ends between two pages', () => {
  it.each(Array.from({ length: chaos(2, 20).rounds }, (_, round) => round))(
    'is neither lost nor delivered twice (round %i)',
    async (round) => {
      const workspace = `moving-${round}`;
      const open: NewJob[] = Array.from({ length: 30 }, (_, number) => ({
        ...{ tenant: 'default', workspace, playbook_name: workspace, name: `moving-${number}` },
      }));
      const all: string[] = [];
      for (const job of open) all.push(await startJob(temporal, job));
      await until('them to be listed', async () => (await listAll({ workspace: [workspace] }, 100)).length === 30);
      let ended = 0;
      const between = async (): Promise<void> => {
        for (const job of [0, 1, 2].flatMap(() => open.splice(Math.floor(random() * open.length), 1))) {
          await temporal.workflow.getHandle(`default/${job.playbook_name}/${job.name}`).terminate('it ends');
          ended++;
        }
        const seen = async (): Promise<boolean> =>
          (await service.get(`${jobs}/counts?workspace=${workspace}`)).body.canceled === ended;
        await until('the ends to be seen', seen);
      };
      const ids = idsOf(await listAll({ workspace: [workspace] }, 4, between));
      expect(ids.sort()).toEqual(all.sort());
      expect(ended).toBeGreaterThan(15);
    },
  );
});

describe('a cursor', () => {
  it('is good for its own filters only, and refused when it was changed', async () => {
    const { next_cursor: cursor } = (await service.get(`${jobs}?limit=2&status=failed`)).body;
    expect((await service.get(`${jobs}?limit=500&status=failed&cursor=${cursor}`)).status).toBe(200);
    const [version, seal, place, ...rest] = cursor.split('.');
    const elsewhere = Buffer.from('{"CloseTime":"9999-12-31T23:59:59Z"}').toString('base64url');
    for (const query of [
      `cursor=${cursor}`,
      `status=canceled&cursor=${cursor}`,
      `status=failed&workspace=ops&cursor=${cursor}`,
      `status=failed&cursor=${cursor}A`,
      `status=failed&cursor=${[version, seal, elsewhere, ...rest].join('.')}`,
      `status=failed&cursor=${[version, 'A'.repeat(16), place, ...rest].join('.')}`,
      `status=failed&cursor=`,
      `status=failed&cursor=${'x'.repeat(5000)}`,
    ]) {
      const answer = await service.get(`${jobs}?${query}`);
      expect(answer.status, query).toBe(422);
      expect(answer.body.errors).toEqual([{ parameter: 'cursor', detail: expect.any(String) }]);
    }
  });
});

describe('no value of a filter', () => {
  const tricks = [
    "'",
    "''",
    "' OR '1'='1",
    "x' OR tenant = 'other",
    "x') OR (tenant = 'other",
    "x' OR 1=1 --",
    "x' OR 1=1 /*",
    "\\' OR tenant = 'other' --",
    "\\\\' OR tenant = 'other",
    "'other'",
    "other'",
    '"other"',
    '`other`',
    'other',
    '*',
    '%',
    '_',
    '\u0000',
    "\u0000' OR tenant = 'other",
    "x\n' OR tenant = 'other",
    '\ud800',
    'öther ☃',
    "x' GROUP BY ExecutionStatus",
    "x' ORDER BY StartTime",
    ') OR (1=1',
    '?',
    '$1',
    ':name',
    'x'.repeat(10_000),
    "'".repeat(3_000),
  ];

  it("reaches another tenant's jobs, or makes the list fail", async () => {
    for (const name of ['secret', 'other'])
      await startJob(temporal, {
        ...{ tenant: 'other', workspace: 'other', playbook_name: 'other', name, playbook: 'other', schedule: 'other' },
        outcome: outcomeOf('successful', null),
      });
    await until('them to be there', async () => (await temporal.workflow.count("workspace = 'other'")).count === 2);
    for (const parameter of ['tenant', 'workspace', 'playbook', 'playbook_name', 'name', 'node', 'schedule']) {
      for (const trick of tricks) {
        for (const where of [jobs, `${jobs}/counts`]) {
          const answer = await service.get(`${where}?${new URLSearchParams({ [parameter]: trick }).toString()}`);
          const said = `${parameter}=${trick.slice(0, 50)}: ${answer.text.slice(0, 200)}`;
          expect([200, 422], said).toContain(answer.status);
          // A path that is too long to be told from others is refused; everything else is a value that no job has.
          expect(answer.status === 422, said).toBe(parameter === 'playbook' && trick.length > 255);
          if (answer.status === 200)
            expect(answer.body.items ?? answer.body.total, said).toEqual(where === jobs ? [] : 0);
        }
      }
    }
    for (const parameter of ['status', 'kind', 'failure', 'since', 'until', 'cursor', 'limit'])
      for (const trick of tricks)
        expect((await service.get(`${jobs}?${new URLSearchParams({ [parameter]: trick }).toString()}`)).status).toBe(
          422,
        );
  });
});

describe('a list', () => {
  it('shows of each run what its own document shows', async () => {
    const running = await service.submit(service.gated('listed', { workspace: 'listed', metadata: { ticket: 7 } }));
    const ends = ['hello.yml', 'failing.yml'].map((playbook) => service.submit({ playbook, workspace: 'listed' }));
    for (const { job_id } of await Promise.all(ends)) await service.ended(job_id);
    const unwanted = await service.submit(service.gated('unwanted', { workspace: 'listed' }));
    await service.reaches(unwanted.job_id, 'running');
    await service.post(`${jobs}/${unwanted.job_id}/cancel`, { reason: 'not now' });
    await service.ended(unwanted.job_id);
    const statuses = ['canceled', 'failed', 'running', 'successful'];
    const items = await until('all to be listed as they are', async () => {
      const listed = await listAll({ workspace: ['listed'] }, 100);
      return (
        listed
          .map(({ status }) => status)
          .sort()
          .join() === statuses.join() && listed
      );
    });
    expect(items[0]!.run_id).toBe(running.run_id);
    for (const item of items) {
      const document = (await service.get(item.links.self)).body;
      expect(document).toMatchObject(item);
    }
    service.file('listed.gate', '');
    await service.ended(running.job_id);
  });

  it('has a job once for each of its runs', async () => {
    const spec = { playbook: 'hello.yml', name: 'again', when_finished: 'rerun' };
    const ids: string[] = [];
    for (let run = 1; run <= 2; run++) {
      const { job_id, run_id } = await service.submit(spec);
      ids.unshift(run_id);
      await service.ended(job_id);
    }
    const listed = async (): Promise<string[]> => idsOf(await listAll({ name: ['again'], status: ['successful'] }, 10));
    await until('both to be listed', async () => (await listed()).length === 2);
    expect(await listed()).toEqual(ids);
  });
});
