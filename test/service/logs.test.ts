import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, it, onTestFinished } from 'vitest';
import { identityOf, type ProcessIdentity } from '../../src/ansible/identity.js';
import { formerLogs, LogFile } from '../../src/service/log-file.js';
import { also } from './chaos.js';
import { until } from './processes.js';
import { Service } from './service.js';

const services: Service[] = [];
afterEach(async () => {
  for (const service of services.splice(0)) await service.destroy();
});

function temporaryLog(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'longhaul-logs-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return path.join(folder, 'some.log');
}

/** A process that writes `1\n`, `2\n`, ... to the log, from two threads in turn, as fast as it can, until it is killed. */
function startWriter(log: LogFile): ProcessIdentity {
  const output = log.open();
  const program = `
import itertools, os, threading
numbers, turn = itertools.count(1), threading.Lock()
def write():
    while True:
        with turn:
            os.write(1, b"%d\\n" % next(numbers))
threading.Thread(target=write).start()
write()
`;
  const child = spawn('python3', ['-c', program], { stdio: ['ignore', output, 'inherit'] });
  closeSync(output);
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await until('the writer to end', () => child.signalCode !== null || child.exitCode !== null);
  });
  const identity = identityOf(child.pid!);
  if (identity === undefined) throw new Error('the writer did not start');
  return identity;
}

also('of what a process writes while its log is put aside, no line is lost or doubled', async () => {
  const file = temporaryLog();
  const log = new LogFile(file, 50_000);
  const writer = startWriter(log);
  let said = '';
  for (let rotated = 0; rotated < 40;) {
    await delay(20);
    rmSync(`${file}.1`, { force: true });
    log.rotate(writer);
    if (!existsSync(`${file}.1`)) continue;
    said += readFileSync(`${file}.1`, 'utf8');
    rotated += 1;
  }
  process.kill(writer.pid, 'SIGKILL');
  await until('the writer to end', () => identityOf(writer.pid) === undefined);
  const numbers = (said + readFileSync(file, 'utf8')).trimEnd().split('\n').map(Number);
  expect(numbers.length).toBeGreaterThan(40 * 5_000);
  expect(numbers.findIndex((number, index) => number !== index + 1)).toBe(-1);
});

it('what the latest process has said is found again after its log was put aside', async () => {
  const file = temporaryLog();
  const log = new LogFile(file, 2_000);
  writeFileSync(file, 'of an earlier process\n');
  const writer = startWriter(log);
  const putAside = (name: string): Promise<boolean> =>
    until(`${name} to be there`, () => {
      log.rotate(writer);
      return existsSync(name);
    });
  await putAside(`${file}.1`);
  process.kill(writer.pid, 'SIGSTOP');
  const latest = log.latest();
  expect(latest).not.toContain('earlier');
  // A quick writer has said more than is shown: then its end, without a gap.
  const numbers = latest.trimEnd().split('\n').slice(1, -1).map(Number);
  expect(numbers.length).toBeGreaterThan(10);
  expect(numbers.findIndex((number, index) => number !== numbers[0]! + index)).toBe(-1);
  process.kill(writer.pid, 'SIGCONT');

  await putAside(`${file}.${formerLogs}`);
  await until('a large log', () => log.latest().length > 60_000);
  process.kill(writer.pid, 'SIGKILL');
  await until('the writer to end', () => identityOf(writer.pid) === undefined);
  const whole = readdirSync(path.dirname(file))
    .sort()
    .reverse()
    .map((name) => readFileSync(path.join(path.dirname(file), name), 'utf8'))
    .join('');
  // `some.log` sorts before `some.log.1`: reversed, the oldest comes first.
  expect(log.lastLines(12)).toBe(whole.trimEnd().split('\n').slice(-12).join('\n'));
  expect(whole.endsWith(log.latest())).toBe(true);
});

it("a service's logs are bounded, say all there was to say, and it goes on", async () => {
  const service = await Service.prepare({ LOG_MAX_MB: '0.001', SWEEP_INTERVAL: '0.5' });
  services.push(service);
  await service.start();
  const logs = path.join(service.dataDir, 'logs');
  // `.new` is there while a log is put aside.
  const names = (): string[] => readdirSync(logs).filter((name) => !name.endsWith('.new'));
  const parts = (): string[] => names().filter((name) => name.startsWith('worker.log'));
  const read = (name: string): string => {
    try {
      return readFileSync(path.join(logs, name), 'utf8');
    } catch {
      return ''; // put aside meanwhile
    }
  };

  const worker = service.processesOf('worker')[0]!.pid;
  const slots = path.join(service.dataDir, 'slots');
  mkdirSync(slots, { recursive: true });
  for (let burst = 1; burst <= formerLogs - 1; burst++) {
    // Slots that name nobody: the sweep logs each one that it drops.
    const numbers = Array.from({ length: 20 }, (_, index) => burst * 1000 + index);
    for (const number of numbers) writeFileSync(path.join(slots, String(number)), '{}');
    await until('the slots to be dropped', () => readdirSync(slots).length === 0);
    await until('the log to be put aside', () => parts().length > burst);
    await until('all of them to be said', () => {
      const said = parts().map(read).join('');
      return numbers.every((number) => said.includes(`"number":${number}`));
    });
  }
  expect(service.processesOf('worker').map(({ pid }) => pid)).toEqual([worker]);

  service.kill('worker');
  await until('another worker', () => service.processesOf('worker').some(({ pid }) => pid !== worker));
  const job = await service.submit({ playbook: 'hello.yml' });
  expect(await service.ended(job.job_id)).toMatchObject({ status: 'successful' });
  await service.interrupt();
  await service.start();
  expect(parts().length).toBeLessThanOrEqual(formerLogs + 1);
  await until('the last one to be put aside', () => readdirSync(logs).length === names().length);
  for (const name of names()) expect(name).toMatch(/^(worker|api|temporal)\.log(\.[1-4])?$/);
});

also('a second API and another node leave no warning in the logs of what is as it should be', async () => {
  const service = await Service.start();
  services.push(service);
  await service.secondApi();
  const other = await Service.start({ TEMPORAL_ADDRESS: service.temporalAddress });
  services.unshift(other);
  const logs = [service, other].flatMap(({ dataDir }) =>
    ['worker', 'api', 'temporal'].map((name) => path.join(dataDir, 'logs', `${name}.log`)).filter(existsSync),
  );
  const said = logs.flatMap((log) => readFileSync(log, 'utf8').split('\n'));
  expect(said.filter((line) => /already exists|No workflows registered/.test(line))).toEqual([]);
});
