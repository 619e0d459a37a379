import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { packageRoot } from '../../src/config.js';
import { signal, until } from '../service/processes.js';
import { Service } from '../service/service.js';
import { recordedHistories } from './recorded.js';

/**
 * Records the histories that replay.test.ts replays, from a real service: `npx tsx test/workflows/record.ts`.
 * To be run only when the workflow changed on purpose in a way that old runs can't follow, after thinking of `patched()`.
 */
type Recorded = (typeof recordedHistories)[number];
interface Job {
  job_id: string;
  run_id: string;
}

const service = await Service.start({ MAX_CONCURRENT_PLAYBOOKS: '1' });
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
};

try {
  const client = await service.temporal();
  for (const name of recordedHistories) {
    const job = await scenarios[name]();
    await service.ended(job.job_id);
    const workflowId = `default/${job.job_id.replace(':', '/')}`;
    const history = await client.workflow.getHandle(workflowId, job.run_id).fetchHistory();
    const json = JSON.stringify(JSON.parse(historyToJSON(history)), undefined, 1)
      .replaceAll(packageRoot(), '.')
      .replaceAll(service.folder, '/tmp/longhaul');
    writeFileSync(path.join(packageRoot(), 'test', 'workflows', 'histories', `${name}.json`), `${json}\n`);
    console.log(`recorded ${name}`);
  }
} finally {
  await service.destroy();
}
