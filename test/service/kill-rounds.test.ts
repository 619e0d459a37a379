import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chaos, pick, seeded } from './chaos.js';
import { until } from './processes.js';
import { Service } from './service.js';

let service: Service;
beforeAll(async () => {
  service = await Service.start({ HEARTBEAT_TIMEOUT: '20' });
});
afterAll(() => service.destroy());

const { rounds, seed } = chaos(1, 25);
const random = seeded(seed);
const victims = ['worker', 'api', 'temporal', 'parent', 'tree'] as const;

/** What only shows how the run stands: whether it is told that it runs depends on who lives at that moment. */
const told = ['workflowExecutionSignaled', 'upsertWorkflowSearchAttributes', 'workflowPropertiesModified'];

/** What a run's history says of its work, without the workflow tasks, of which a crash repeats some. */
async function workOf(name: string): Promise<string[]> {
  const client = await service.temporal();
  const { events } = await client.workflow.getHandle(`default/lines/${name}`).fetchHistory();
  const types = (events ?? []).map((event) => Object.keys(event).find((key) => key.endsWith('EventAttributes')) ?? '?');
  return types.filter((type) => !type.startsWith('workflowTask') && !told.some((shown) => type.startsWith(shown)));
}

async function submitLines(name: string): Promise<{ job_id: string; run_id: string }> {
  return service.submit({
    playbook: 'lines.yml',
    name,
    extra_vars: { trace: path.join(service.folder, name), pause: '0.3' },
  });
}

const linesOf = (name: string): string => readFileSync(path.join(service.folder, name), 'utf8');
const eachOnce = '1\n2\n3\n4\n5\n6\n7\n8\n';

it(`kill -9 of any part, at any moment, ${rounds} times: every line once, every job successful (seed ${seed})`, async () => {
  const undisturbed = await submitLines('undisturbed');
  await service.ended(undisturbed.job_id);
  const expected = await workOf('undisturbed');
  expect(linesOf('undisturbed')).toBe(eachOnce);
  const toTruth: number[] = [];

  for (let round = 0; round < rounds; round++) {
    const name = `round-${round}`;
    const said: string[] = [];
    const job = await submitLines(name);
    const kills = random() < 0.3 ? 2 : 1;
    for (let kill = 0; kill < kills; kill++) {
      await delay(random() * 4000);
      const victim = pick(random, victims);
      said.push(victim);
      service.kill(victim);
      if (victim === 'parent' || victim === 'tree') {
        await until('npm start to be gone', () => !service.runs);
        await service.start();
      } else {
        await service.ready();
      }
      toTruth.push(await timeToTruth(job));
    }
    const ended = await service.ended(job.job_id);
    expect({ round, said, status: ended.status, attempt: ended.attempt, run: ended.run_id }).toEqual({
      round,
      said,
      status: 'successful',
      attempt: 1,
      run: job.run_id,
    });
    expect({ round, said, lines: linesOf(name) }).toEqual({ round, said, lines: eachOnce });
    expect({ round, said, work: await workOf(name) }).toEqual({ round, said, work: expected });
  }
  console.log(`from ready again to a true status: at most ${Math.max(...toTruth)} ms, over ${toTruth.length} kills`);
}, 1_500_000);

/** How long, in ms, until the document says what the processes show: running while they live, else ended. */
async function timeToTruth(job: { job_id: string; run_id: string }): Promise<number> {
  const begun = Date.now();
  await until('a true status', async () => {
    const before = service.alive(job).length > 0;
    const { status } = await service.job(job.job_id);
    const after = service.alive(job).length > 0;
    if (before !== after) return false;
    return after ? status === 'running' : ['pending', 'successful'].includes(status);
  });
  return Date.now() - begun;
}
