import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { also } from './chaos.js';
import { until } from './processes.js';
import { Service, type Answer } from './service.js';

/** So seldom that what is newer can't have come by a heartbeat. */
const heartbeatTimeout = 3600;

let service: Service;
beforeAll(async () => {
  service = await Service.start({ HEARTBEAT_TIMEOUT: String(heartbeatTimeout) });
  const vars = { ansible_connection: 'local', ansible_python_interpreter: '{{ ansible_playbook_python }}' };
  service.file('inventories/two.yml', JSON.stringify({ all: { hosts: { one: null, two: null }, vars } }));
});
afterAll(() => service.destroy());

function stages(name: string, more: object = {}): object {
  return {
    playbook: 'stages.yml',
    name,
    inventory: 'two.yml',
    extra_vars: { gates: path.join(service.folder, name), ...more },
  };
}

/** The document once the job stands at a gate with all its hosts, and what percentages were shown on the way. */
async function standsAt(name: string, gate: number, tasksDone: number, shown: number[]): Promise<Answer['body']> {
  return until(`${name} at gate ${gate}`, async () => {
    const document = await service.job(`stages:${name}`);
    if (document.status === 'failed') throw new Error(document.result.stdout);
    if (document.progress === undefined) return false; // a busy service said so
    if (document.progress.percent !== null) shown.push(document.progress.percent);
    const stands = document.progress.message?.startsWith(`Gate ${gate} (In stages)`) === true;
    return stands && document.progress.tasks_done === tasksDone && document;
  });
}

describe('a job that runs', () => {
  it('shows how far it is at any time, never going back, and 100 only at the end', async () => {
    await service.submit(stages('steady'));
    const shown: number[] = [];
    for (const [gate, tasksDone] of [0, 4, 10, 18].entries()) {
      const { progress, hosts, recent_logs } = await standsAt('steady', gate, tasksDone, shown);
      expect(progress).toMatchObject({
        stage: 'running',
        percent: tasksDone * 5,
        message: `Gate ${gate} (In stages), 0 of 2 hosts`,
        tasks_total: 20,
        eta: null,
      });
      if (gate > 0) expect(hosts.one).toMatchObject({ status: 'ok', failures: 0 });
      expect(recent_logs.at(-1)).toContain(`TASK [Gate ${gate}]`);
      expect(recent_logs.length).toBeLessThanOrEqual(20);
      service.file(`steady.${gate}`, '');
    }
    expect(shown).toEqual([...shown].sort((one, other) => one - other));
    const ended = await service.ended('stages:steady');
    expect(ended.progress).toMatchObject({ stage: 'ended', percent: 100, tasks_done: 20, tasks_total: 20, eta: null });
    expect(ended.hosts.one).toMatchObject({ ok: 9, skipped: 1 });
  });

  also('shows a host that has failed, and counts no more what that would have done', async () => {
    await service.submit(stages('limping', { broken: true }));
    for (const gate of [0, 1, 2]) service.file(`limping.${gate}`, '');
    const { progress, hosts } = await standsAt('limping', 3, 18, []);
    expect(progress).toMatchObject({ percent: 94, tasks_total: 19, message: 'Gate 3 (In stages)' });
    expect(hosts.two).toMatchObject({ status: 'failed', failures: 1 });
    service.file('limping.3', '');
    const ended = await service.ended('stages:limping');
    expect(ended).toMatchObject({ status: 'failed', progress: { percent: 100, tasks_done: 19, tasks_total: 20 } });
  });

  it('shows when it will end by how long it took before, on any machine', async () => {
    await service.ended('stages:steady');
    await service.submit(stages('again'));
    const here = await standsAt('again', 0, 0, []);
    const elsewhere = await service.secondApi({ DATA_DIR: path.join(service.folder, 'elsewhere') });
    const there = (await service.get(`${elsewhere}/api/v1/jobs/stages:again`)).body;
    expect(there).toMatchObject({ status: 'running', output_available: false });
    for (const { progress, started_at } of [here, there])
      expect(Date.parse(progress.eta)).toBeGreaterThan(Date.parse(started_at));
    await service.post('/api/v1/jobs/stages:again/cancel');
    const ended = await service.ended('stages:again');
    expect(ended).toMatchObject({ status: 'canceled', progress: { percent: 100, tasks_done: 0, tasks_total: 20 } });
  });
});
