import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statfsSync, writeFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isErrno } from '../../src/disk/errno.js';
import { until } from './processes.js';
import { Service } from './service.js';

/** A small file system of its own for `DATA_DIR/runs`, which only root can mount. */
const isRoot = process.getuid?.() === 0;
if (!isRoot && process.env.CI !== undefined) throw new Error('this test needs root to mount a tmpfs');

let service: Service;
let runs: string;
beforeAll(async () => {
  if (!isRoot) return;
  service = await Service.prepare();
  runs = path.join(service.dataDir, 'runs');
  mkdirSync(runs, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', runs]);
  await service.start();
});
afterAll(async () => {
  if (!isRoot) return;
  await service.interrupt();
  execFileSync('umount', ['-l', runs]);
  await service.destroy();
});

/** Leaves no byte free in `runs`, whatever else writes there; how to free it again. */
function fill(): () => void {
  const file = path.join(runs, '.fill');
  const { bavail, bsize } = statfsSync(runs);
  try {
    writeFileSync(file, Buffer.alloc(bavail * bsize));
  } catch (error) {
    if (!isErrno(error, 'ENOSPC')) throw error;
  }
  return () => {
    rmSync(file);
  };
}

it.skipIf(!isRoot)(
  'a disk that gets full while a playbook talks: storage, and the playbook did all it had to do (skipped: needs root)',
  async () => {
    const trace = path.join(service.folder, 'talkative');
    const job = await service.submit({ playbook: 'talkative.yml', extra_vars: { trace } });
    const ended = await service.ended(job.job_id);
    expect(ended).toMatchObject({ status: 'failed', failure: { kind: 'storage' }, result: { rc: 0 }, attempt: 1 });
    expect(readFileSync(trace, 'utf8')).toBe('done\n');
    expect(ended.error).toContain('No space left');
    expect((await service.delete(`/api/v1/jobs/${job.job_id}`)).status).toBe(204);
  },
);

it.skipIf(!isRoot)(
  'a disk that is full at the end: the verdict is told truly all the same (skipped: needs root)',
  async () => {
    const trace = path.join(service.folder, 'full-end');
    const job = await service.submit({ playbook: 'loud_end.yml', extra_vars: { trace, gate: `${trace}.gate` } });
    await until('the playbook to have begun', () => existsSync(trace));
    const free = fill();
    service.file('full-end.gate', '');
    const ended = await service.ended(job.job_id);
    free();
    expect(ended).toMatchObject({ status: 'failed', failure: { kind: 'storage' }, result: { rc: 0 }, attempt: 1 });
    expect(readFileSync(trace, 'utf8')).toBe('begun\npassed\n');
  },
);

it.skipIf(!isRoot)(
  'a job that comes while the disk is full waits, says why, and runs when there is space (skipped: needs root)',
  async () => {
    const free = fill();
    const job = await service.submit({ playbook: 'hello.yml' });
    const waiting = await until('the reason', async () => {
      const document = await service.job(job.job_id);
      return /MB free/.test(document.progress?.message ?? '') && document;
    });
    expect(waiting.status).toBe('pending');
    free();
    expect(await service.ended(job.job_id)).toMatchObject({ status: 'successful' });
  },
);
