import { cpSync, readdirSync, readFileSync, existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { livingProcesses, until } from './processes.js';
import { also } from './chaos.js';
import { Service } from './service.js';

const services: Service[] = [];
const start = async (...args: Parameters<typeof Service.start>): Promise<Service> => {
  const service = await Service.start(...args);
  services.push(service);
  return service;
};
afterEach(async () => {
  for (const service of services.splice(0)) await service.destroy();
});

const gate = (service: Service, name: string): object => ({
  playbook: 'gate.yml',
  name,
  extra_vars: { trace: path.join(service.folder, name), gate: path.join(service.folder, 'gate') },
});
/** Whether an attempt has ended: its supervisor may be on its way out when its slot is another's. */
const hasEnded = (service: Service, attempt: string): boolean => {
  const gates = path.join(service.dataDir, 'runs', 'default', 'gate');
  return readdirSync(gates).some((name) => existsSync(path.join(gates, name, attempt, 'result.json')));
};
/** Attempts of this service that have not ended, and of which a process lives. */
const attemptsAlive = (service: Service): number =>
  new Set(
    livingProcesses()
      .filter(({ command }) => command.includes(service.dataDir))
      .map(({ environment }) => environment.find((entry) => entry.startsWith('LONGHAUL_ATTEMPT='))?.split('=')[1])
      .filter((attempt) => attempt !== undefined && !hasEnded(service, attempt)),
  ).size;

it('of six jobs with a limit of five the sixth waits, also after kill -9 and restart', async () => {
  const service = await start({ MAX_CONCURRENT_PLAYBOOKS: '5' });
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, attemptsAlive(service))), 100);
  const jobs: { job_id: string; run_id: string }[] = [];
  for (let n = 1; n <= 6; n++) jobs.push(await service.submit(gate(service, `slot-${n}`)));
  const statuses = async (): Promise<string[]> =>
    Promise.all(jobs.map(async ({ job_id }) => (await service.job(job_id)).status as string));
  await until('five to run', async () => (await statuses()).filter((status) => status === 'running').length === 5);
  expect((await statuses()).filter((status) => status === 'pending')).toHaveLength(1);

  service.kill('worker');
  await until(
    'five to run after the worker was killed',
    () => service.processesOf('worker').length > 0 && attemptsAlive(service) === 5,
  );
  service.kill('tree');
  await service.start();
  await delay(3000);
  const after = await statuses();
  expect(after.filter((status) => status === 'running')).toHaveLength(5);
  expect(after.filter((status) => status === 'pending')).toHaveLength(1);

  service.file('gate', '');
  for (const { job_id } of jobs)
    expect(await service.ended(job_id)).toMatchObject({ status: 'successful', attempt: 1 });
  clearInterval(watch);
  expect(most).toBe(5);
  expect(readdirSync(path.join(service.dataDir, 'slots'))).toEqual([]);
  for (let n = 1; n <= 6; n++)
    expect(readFileSync(path.join(service.folder, `slot-${n}`), 'utf8')).toBe('begun\npassed\n');
});

also('a copied data folder is another node, which starts and ends nothing of the first one', async () => {
  const first = await start({ MAX_CONCURRENT_PLAYBOOKS: '1' });
  const running = await first.submit(gate(first, 'original'));
  await until('the playbook to have begun', () => existsSync(path.join(first.folder, 'original')));
  const waiting = await first.submit(gate(first, 'waiting'));

  const copied = await Service.prepare();
  services.push(copied);
  await first.interrupt();
  cpSync(first.dataDir, copied.dataDir, { recursive: true });
  await copied.start();
  const own = await copied.submit({ playbook: 'hello.yml' });
  expect(await copied.ended(own.job_id)).toMatchObject({ status: 'successful' });
  await delay(4000); // more than one sweep
  expect(existsSync(path.join(first.folder, 'waiting'))).toBe(false);
  expect(first.alive(running).length).toBeGreaterThan(0);

  await first.start();
  first.file('gate', '');
  expect(await first.ended(running.job_id)).toMatchObject({
    status: 'successful',
    attempt: 1,
    node: expect.not.stringMatching(`^${(await copied.job(own.job_id)).node}$`),
  });
  expect(await first.ended(waiting.job_id)).toMatchObject({ status: 'successful', attempt: 1 });
  for (const name of ['original', 'waiting'])
    expect(readFileSync(path.join(first.folder, name), 'utf8')).toBe('begun\npassed\n');
});
