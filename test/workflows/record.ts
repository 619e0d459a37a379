import { randomUUID } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { packageRoot } from '../../src/config.js';
import { signal, until } from '../service/processes.js';
import { Service } from '../service/service.js';
import { recordedHistories } from './recorded.js';

/**
 * Records the histories that replay.test.ts replays and that are missing, from a real service: `npx tsx
 * test/workflows/record.ts`. One is removed only when the workflow changed on purpose in a way that old runs can't follow,
 * after thinking of `patched()`.
 */
type Recorded = (typeof recordedHistories)[number];
interface Job {
  job_id: string;
  run_id: string;
}

const service = await Service.start({ MAX_CONCURRENT_PLAYBOOKS: '1', ...limitFor(process.argv[2]) });
const client = await service.temporal();
const begun = (name: string): Promise<boolean> =>
  until('the playbook to have begun', () => existsSync(path.join(service.folder, name)));
const cancel = (job: Job): Promise<unknown> => service.post(`/api/v1/jobs/${job.job_id}/cancel`);
const killBoth = (job: Job): void => {
  const { supervisor, ansible } = service.pidsOf(job);
  signal(supervisor, 'SIGKILL');
  signal(ansible, 'SIGKILL');
};

const scenarios: Record<Recorded, () => Promise<Job>> = {
  success: () => service.submit({ playbook: 'hello.yml' }),
  failure: () => service.submit({ playbook: 'failing.yml' }),
  async crash() {
    const job = await service.submit(service.gated('crash'));
    await begun('crash');
    service.kill('worker');
    await service.ready();
    service.file('crash.gate', '');
    return job;
  },
  async cancel() {
    const job = await service.submit(service.gated('cancel'));
    await begun('cancel');
    await cancel(job);
    return job;
  },
  async 'cancel-while-waiting'() {
    const job = await service.submit(
      service.gated('backoff', { retry: { max_attempts: 2, backoff: [600], on: ['lost'] } }),
    );
    await begun('backoff');
    killBoth(job);
    await until('the backoff', async () => (await service.job(job.job_id)).attempts.length === 1);
    await cancel(job);
    return job;
  },
  async 'cancel-before-start'() {
    const first = await service.submit(service.gated('first'));
    await begun('first');
    const job = await service.submit(service.gated('second'));
    await cancel(job);
    await service.ended(job.job_id);
    await cancel(first);
    await service.ended(first.job_id);
    return job;
  },
  async retry() {
    const job = await service.submit(
      service.gated('retry', { retry: { max_attempts: 2, backoff: [1], on: ['lost'] } }),
    );
    await begun('retry');
    killBoth(job);
    await until('attempt 2', () => existsSync(path.join(service.attemptFolder(job, 2), 'started')));
    service.file('retry.gate', '');
    return job;
  },
  async running() {
    const job = await listed('running');
    service.file('running.gate', '');
    return job;
  },
  async 'running-canceled'() {
    const job = await listed('running-canceled');
    await cancel(job);
    return job;
  },
  async reset() {
    const job = await listed('reset');
    const workflowExecution = { workflowId: 'default/gate/reset', runId: job.run_id };
    const { events } = await client.workflow.getHandle('default/gate/reset').fetchHistory();
    const first = events!.find((event) => event.workflowTaskCompletedEventAttributes)!;
    const { runId } = await client.workflowService.resetWorkflowExecution({
      namespace: 'default',
      workflowExecution,
      workflowTaskFinishEventId: first.eventId!,
      requestId: randomUUID(),
    });
    service.file('reset.gate', '');
    return { ...job, run_id: runId };
  },
  async abandoned() {
    const job = await listed('abandoned');
    await client.workflow.getHandle('default/gate/abandoned').signal('abandon', { attempt: 1, reason: 'gone' });
    return job;
  },
  admitted: () => service.submit({ playbook: 'hello.yml' }),
  async node() {
    for (let restart = 0; restart < 2; restart++) {
      service.kill('worker');
      await service.ready();
      await until('the node to be live', async () =>
        (await service.get('/api/v1/nodes')).body.items.some(({ status }: { status: string }) => status === 'live'),
      );
    }
    const [node] = (await service.get('/api/v1/nodes')).body.items;
    return { job_id: `node/${node.node}`, run_id: '' };
  },
  async tenant() {
    const jobs = [await service.submit({ playbook: 'hello.yml' }), await service.submit({ playbook: 'hello.yml' })];
    for (const { job_id } of jobs) await service.ended(job_id);
    return { job_id: 'tenant/default', run_id: '' };
  },
  steps: () => twoSteps('steps'),
  async step() {
    const job = await twoSteps('of-a-step');
    await service.ended(job.job_id);
    return { job_id: `default/steps/of-a-step/${job.run_id}/second`, run_id: '' };
  },
  async 'steps-canceled'() {
    const steps = [service.gated('begun'), { name: 'after', playbook: 'hello.yml', needs: ['begun'] }];
    const job = await service.submit({ name: 'steps-canceled', steps });
    await begun('begun');
    await cancel(job);
    return job;
  },
  task: () => service.submit({ command: 'true', name: 'task' }),
  async 'task-with-late-host'() {
    const here = { ansible_connection: 'local' };
    const away = { ansible_host: '127.0.0.1', ansible_port: 1 };
    const job = { command: 'true', name: 'task-with-late-host', unreachable_after: 3 };
    return service.submit({ ...job, inventory: { all: { hosts: { here, away } } } });
  },
};

/** A job of two steps, the second of which gets a word from the first. */
function twoSteps(name: string): Promise<Job> {
  const word = (step: string, more: object): object => ({
    name: step,
    playbook: 'hand_on.yml',
    extra_vars: { word: step },
    outputs: ['words'],
    ...more,
  });
  const extra_vars = { trace: path.join(service.folder, name) };
  return service.submit({ name, extra_vars, steps: [word('first', {}), word('second', { needs: ['first'] })] });
}

/** A job of which lists say that it runs. */
async function listed(name: string): Promise<Job> {
  const job = await service.submit(service.gated(name));
  await until('lists to say that it runs', async () => {
    const { events } = await client.workflow.getHandle(`default/gate/${name}`).fetchHistory();
    return events!.some((event) => event.workflowExecutionSignaledEventAttributes?.signalName === 'milestone');
  });
  return job;
}

/** With the argument `limited` those are recorded that need a limit for tenants. */
function limitFor(argument: string | undefined): Record<string, string> {
  return argument === 'limited' ? { MAX_CONCURRENT_PER_TENANT: '1' } : {};
}

try {
  const limited: readonly Recorded[] = ['admitted', 'tenant'];
  for (const name of recordedHistories) {
    const file = path.join(packageRoot(), 'test', 'workflows', 'histories', `${name}.json`);
    if (existsSync(file) || limited.includes(name) !== (process.argv[2] === 'limited')) continue;
    const job = await scenarios[name]();
    const isJob = job.job_id.includes(':');
    if (isJob) await service.ended(job.job_id);
    const workflowId = isJob ? `default/${job.job_id.replace(':', '/')}` : job.job_id;
    const history = await client.workflow.getHandle(workflowId, job.run_id || undefined).fetchHistory();
    const json = JSON.stringify(JSON.parse(historyToJSON(history)), undefined, 1)
      .replaceAll(packageRoot(), '.')
      .replaceAll(service.folder, '/tmp/longhaul');
    writeFileSync(file, `${json}\n`);
    console.log(`recorded ${name}`);
  }
} finally {
  await service.destroy();
}
