import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { loadConfig, packageRoot } from '../../src/config.js';
import { embeddedRetentionSeconds } from '../../src/job/retention.js';
import { RunFolders, type StoredRun } from '../../src/store/run-folders.js';

const job = { tenant: 'default', playbookName: 'site', name: 'nightly' };
const runId = '01a20300-e905-754a-b012-53d4ea3a2017';
const ended = '2026-01-01T00:00:00.000Z';
const outcome = { status: 'successful', rc: 0, stats: {}, started_at: null, finished_at: ended, leftovers: [] };

async function temporaryRuns(): Promise<string> {
  const runs = await mkdtemp(path.join(os.tmpdir(), 'longhaul-runs-'));
  onTestFinished(() => rm(runs, { recursive: true, force: true }));
  return runs;
}

/** The folder of an attempt with these records. */
async function attempt(runs: string, number: number, files: Record<string, unknown>, ofRun = runId): Promise<string> {
  const folder = path.join(runs, job.tenant, job.playbookName, job.name, ofRun, String(number));
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(files))
    await writeFile(path.join(folder, name), JSON.stringify(content));
  return folder;
}

async function everything(folders: RunFolders): Promise<StoredRun[]> {
  const all = [];
  for await (const run of folders.all()) all.push(run);
  return all;
}

const files = { 'spec.json': { ttl: 60 }, 'claim.1': {}, started: {}, 'outcome.json': outcome };

it('a removal that is killed before any of its steps has removed all of a run from sight or nothing, and the next look ends it', async () => {
  const template = await temporaryRuns();
  await attempt(template, 1, files);
  await attempt(template, 2, files);
  const other = '01a20300-e930-7a92-9599-13d128db6673';
  await attempt(template, 1, files, other);

  let steps = 0;
  const seen = { whole: 0, gone: 0 };
  for (let step = 1; ; step++) {
    const runs = await temporaryRuns();
    await cp(template, runs, { recursive: true });
    const killed = await removeUpTo(runs, step);
    const folders = new RunFolders(runs);
    const listed = (await readdir(path.join(runs, job.tenant, job.playbookName, job.name))).filter(
      (name) => !name.startsWith('.'),
    );
    if (listed.includes(runId)) {
      seen.whole += 1;
      for (const number of [1, 2])
        expect((await readdir(path.join(runs, 'default/site/nightly', runId, `${number}`))).sort()).toEqual(
          Object.keys(files).sort(),
        );
      await folders.remove(job, runId);
    } else {
      seen.gone += 1;
    }
    expect(await everything(folders)).toEqual([{ job, runId: other }]);
    expect(await readdir(path.join(runs, 'default/site/nightly'))).toEqual([other]);
    if (!killed) break;
    steps = step;
  }
  // The rename, its fsync, then each file and folder.
  expect(steps).toBeGreaterThanOrEqual(2 + 2 * Object.keys(files).length + 3);
  expect(seen).toEqual({ whole: 1, gone: steps });
}, 300_000);

/** Removes the run in a process that is killed right before its step of this number; whether it got there. */
async function removeUpTo(runs: string, step: number): Promise<boolean> {
  const module = path.join(packageRoot(), 'dist', 'src', 'store', 'run-folders.js');
  const program = `
    const { RunFolders } = await import(${JSON.stringify(module)});
    await new RunFolders(${JSON.stringify(runs)}).remove(${JSON.stringify(job)}, ${JSON.stringify(runId)});
  `;
  const log = path.join(runs, 'steps');
  const tracer = path.join(packageRoot(), 'test', 'ansible', 'crash_point.py');
  const node = [process.execPath, '--input-type=module', '-e', program];
  const { status, stderr } = spawnSync(
    loadConfig({}).python,
    [tracer, log, path.join(runs, job.tenant), `D:${step}`, ...node],
    { env: { ...process.env, UV_USE_IO_URING: '0' }, encoding: 'utf8' },
  );
  const said = await readFile(log, 'utf8');
  await rm(log);
  if (status !== 0 && !said.includes('killed\n')) throw new Error(stderr);
  return said.includes('killed\n');
}

it('the files of a run are kept for its ttl after the end of its last attempt', async () => {
  const runs = await temporaryRuns();
  const folders = new RunFolders(runs);
  await attempt(runs, 1, { 'spec.json': { ttl: 60 }, 'outcome.json': outcome });
  expect(await folders.keptUntil(job, runId)).toEqual({ at: Date.parse(ended) + 60_000, final: true });

  const later = { rc: 0, signal: null, cause: null, at: Date.parse(ended) / 1000 + 3600 };
  await attempt(runs, 10, { 'spec.json': { ttl: 60 }, 'result.json': later });
  expect(await folders.keptUntil(job, runId)).toEqual({ at: Date.parse(ended) + 3_660_000, final: false });
});

it('files without a legible ttl are kept as long as the longest', async () => {
  const runs = await temporaryRuns();
  const folder = await attempt(runs, 1, { 'spec.json': 'nonsense' });
  await utimes(folder, new Date(ended), new Date(ended));
  expect(await new RunFolders(runs).keptUntil(job, runId)).toEqual({
    at: Date.parse(ended) + embeddedRetentionSeconds * 1000,
    final: false,
  });
  expect(await new RunFolders(runs).keptUntil(job, 'no such run')).toBeUndefined();
});

it('the last run of a job takes the empty folders above it along, and nothing else', async () => {
  const runs = await temporaryRuns();
  const folders = new RunFolders(runs);
  await attempt(runs, 1, files);
  await writeFile(path.join(runs, '.longhaul'), '');
  await folders.remove(job, runId);
  await folders.remove(job, runId);
  expect(await readdir(runs, { recursive: true })).toEqual(['.longhaul', job.tenant]);
});
