import { createHash } from 'node:crypto';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, createReadStream, openSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../src/config.js';
import { also, chaos, seeded } from './chaos.js';
import { Memory } from './memory.js';
import { readInEveryWay } from './readers.js';
import { Service } from './service.js';

const mebibyte = 1024 * 1024;
const allowedGrowth = 50 * mebibyte;

let service: Service;
beforeAll(async () => {
  service = await Service.start();
  const { job_id } = await service.submit({ playbook: 'hello.yml' });
  await service.ended(job_id);
});
afterAll(() => service.destroy());

test('100 MB of output: every byte can be read, in flat memory, and documents stay small', async () => {
  const extra_vars = { megabytes: 100 };
  const memory = new Memory(service);
  const job = await service.submit({ playbook: 'megabytes.yml', extra_vars });
  const address = `${service.url}/api/v1/jobs/${job.job_id}`;
  let isOver = false;
  const ending = service.ended(job.job_id, 300).finally(() => (isOver = true));
  const served = await readInEveryWay(address, () => isOver);
  expect(Object.values(served).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
  await ending;

  const file = path.join(service.attemptFolder(job), 'stdout.log');
  const { size } = statSync(file);
  expect(size).toBeGreaterThan(100_000_000);

  const readBefore = bytesRead();
  const document = await service.job(job.job_id);
  expect(bytesRead() - readBefore).toBeLessThan(5 * mebibyte);
  expect(document).toMatchObject({ status: 'successful', result: { rc: 0, stdout_truncated: true } });
  expect(Buffer.byteLength(document.result.stdout)).toBeLessThanOrEqual(64 * 1024);
  expect(
    readFileSync(file)
      .subarray(-64 * 1024)
      .toString()
      .endsWith(document.result.stdout),
  ).toBe(true);

  const digest = await digestOf(createReadStream(file));
  expect(await digestOf((await fetch(`${address}/stdout`)).body!)).toBe(digest);
  expect(await digestOf([await inSlices(`${address}/stdout`, size)])).toBe(digest);

  const again = Date.now() + 5000;
  await readInEveryWay(address, () => Date.now() > again);
  expect(memory.growth.worker).toBeLessThan(allowedGrowth);
  expect(memory.growth.api).toBeLessThan(allowedGrowth);

  expect(await digestOf(createReadStream(await byHand('megabytes.yml', extra_vars)))).toBe(digest);
}, 600_000);

also(
  'very many events on 500 hosts: progress, documents and statistics in flat memory',
  async () => {
    const tasks = chaos(10, 200).rounds;
    const hosts = Array.from({ length: 500 }, (_, index) => `host${index + 1}`);
    const task = { name: 'Rehearse', 'ansible.builtin.debug': { msg: 'x' } };
    const play = { hosts: 'all', gather_facts: false, strategy: 'rehearsal', tasks: Array(tasks).fill(task) };
    service.file('playbooks/many.yml', JSON.stringify([play]));

    const memory = new Memory(service);
    const job = await service.submit({ playbook: 'many.yml', inventory: hosts.join() });
    let isOver = false;
    const ending = service.ended(job.job_id, 1500).finally(() => (isOver = true));
    await readInEveryWay(`${service.url}/api/v1/jobs/${job.job_id}`, () => isOver);
    const document = await ending;

    expect(document).toMatchObject({ status: 'successful', progress: { tasks_done: tasks * hosts.length } });
    expect(Object.keys(document.result.stats).sort()).toEqual([...hosts].sort());
    expect(document.hosts.host500).toMatchObject({ status: 'ok', ok: tasks });
    const events = readFileSync(path.join(service.attemptFolder(job), 'events.jsonl'), 'utf8').split('\n');
    expect(events.filter((line) => line.includes('"event": "ok"'))).toHaveLength(tasks * hosts.length);
    expect(memory.growth.worker).toBeLessThan(allowedGrowth);
    expect(memory.growth.api).toBeLessThan(allowedGrowth);
  },
  1_800_000,
);

/** How many bytes the API has read, from files and connections, by the kernel's account. */
function bytesRead(): number {
  const [api] = service.processesOf('api');
  return Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${api!.pid}/io`, 'utf8'))?.[1]);
}

async function digestOf(pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}

/** The output put together from ranges of random sizes, asked for in random order. */
async function inSlices(stdout: string, size: number): Promise<Uint8Array> {
  const random = seeded(chaos(1, 1).seed);
  const slices: { start: number; end: number }[] = [];
  for (let start = 0; start < size;) {
    const end = Math.min(size, start + 1 + Math.floor(random() * 2_000_000));
    slices.push({ start, end });
    start = end;
  }
  const whole = new Uint8Array(size);
  for (const { start, end } of slices.sort(() => random() - 0.5)) {
    const answer = await fetch(stdout, { headers: { range: `bytes=${start}-${end - 1}` } });
    expect(answer.status).toBe(206);
    expect(answer.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/${size}`);
    whole.set(new Uint8Array(await answer.arrayBuffer()), start);
  }
  return whole;
}

/** Runs a playbook of the service with `ansible-playbook`; the file with its output. */
async function byHand(playbook: string, extraVars: object): Promise<string> {
  const file = service.file('by-hand.log', '');
  const output = openSync(file, 'w');
  const program = path.join(path.dirname(loadConfig({}).python), 'ansible-playbook');
  const options = ['--inventory=localhost,', '--connection=local', `--extra-vars=${JSON.stringify(extraVars)}`];
  const child = spawn(program, [...options, playbook], {
    cwd: service.playbooksDir,
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  await once(child, 'close');
  return file;
}
