import { rename, rm, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { jobFolder, runFolder, stepFile } from '../ansible/folders.js';
import { readRecord, Result } from '../ansible/records.js';
import { namesIn, syncFolder } from '../disk/durable.js';
import { isErrno } from '../disk/errno.js';
import { isName, type JobName } from '../job/names.js';
import { Outcome } from '../job/outcome.js';
import { embeddedRetentionSeconds } from '../job/retention.js';

const goneSuffix = '.gone';
const Kept = z.object({ ttl: z.number().positive() });
const Step = z.object({ runId: z.string(), name: z.string() });

/** A run that has a folder on this machine: of a job, or of a step of that job. */
export interface StoredRun {
  job: JobName;
  runId: string;
}

/** The folders of runs on this machine, in which all that is kept of their attempts is. */
export class RunFolders {
  constructor(private readonly runsDir: string) {}

  /** Every run that has a folder here. Finishes removals that were interrupted, as it comes by. */
  async *all(): AsyncGenerator<StoredRun> {
    for (const tenant of await namesOf(this.runsDir))
      for (const playbookName of await namesOf(path.join(this.runsDir, tenant)))
        for (const name of await namesOf(path.join(this.runsDir, tenant, playbookName))) {
          const job = { tenant, playbookName, name };
          for (const runId of await this.of(job)) yield { job, runId };
        }
  }

  /** The runs of a job that have a folder here. Finishes removals that were interrupted. */
  async of(job: JobName): Promise<string[]> {
    const folder = jobFolder(this.runsDir, job);
    const names = await namesIn(folder);
    const gone = names.filter((name) => name.startsWith('.') && name.endsWith(goneSuffix));
    for (const name of gone) await rm(path.join(folder, name), { recursive: true, force: true });
    if (gone.length > 0) await this.removeIfEmpty(job);
    return names.filter((name) => !name.startsWith('.'));
  }

  /** The numbers of the attempts of a run. */
  async attempts(job: JobName, runId: string): Promise<number[]> {
    const names = await namesIn(runFolder(this.runsDir, { ...job, runId }));
    return names.filter((name) => /^[1-9]\d*$/.test(name)).map(Number);
  }

  /** What a run is of: the job whose folder it is in, or a step of that. */
  async ownerOf({ job, runId }: StoredRun): Promise<JobName> {
    const run = runFolder(this.runsDir, { ...job, runId });
    for (const attempt of await this.attempts(job, runId)) {
      const step = await readRecord(path.join(run, String(attempt)), stepFile, Step);
      if (step !== undefined && step !== 'corrupt') return { ...job, step };
    }
    return job;
  }

  /**
   * Until when a run's files are to be kept, by its own `ttl` and the records of its last attempt.
   * @returns `at` in ms since 1970; `final` if that won't change any more; undefined if the folder is gone
   */
  async keptUntil(job: JobName, runId: string): Promise<{ at: number; final: boolean } | undefined> {
    const run = runFolder(this.runsDir, { ...job, runId });
    const last = Math.max(0, ...(await this.attempts(job, runId)));
    const folder = last === 0 ? run : path.join(run, String(last));
    const [spec, outcome, result] = await Promise.all([
      readRecord(folder, 'spec.json', Kept),
      readRecord(folder, 'outcome.json', Outcome),
      readRecord(folder, 'result.json', Result),
    ]);
    // Without a legible `ttl`, as long as the longest: what nobody can account for is not removed early.
    const ttl = spec === undefined || spec === 'corrupt' ? embeddedRetentionSeconds : spec.ttl;
    const finished = outcome === undefined || outcome === 'corrupt' ? NaN : Date.parse(outcome.finished_at);
    if (!Number.isNaN(finished)) return { at: finished + ttl * 1000, final: true };
    const ended = result === undefined || result === 'corrupt' ? await changedAt(folder) : result.at * 1000;
    return ended === undefined ? undefined : { at: ended + ttl * 1000, final: false };
  }

  /** Removes the folder of a run that Temporal no longer knows: at once as far as others can see. May be repeated. */
  async remove(job: JobName, runId: string): Promise<void> {
    const folder = jobFolder(this.runsDir, job);
    const gone = path.join(folder, `.${runId}${goneSuffix}`);
    await rm(gone, { recursive: true, force: true });
    try {
      await rename(path.join(folder, runId), gone);
      await syncFolder(folder);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
    await rm(gone, { recursive: true, force: true });
    await this.removeIfEmpty(job);
  }

  /** Removes a job's folder, and the one above, unless something is in it: another run may be starting there. */
  private async removeIfEmpty(job: JobName): Promise<void> {
    const folder = jobFolder(this.runsDir, job);
    for (const empty of [folder, path.dirname(folder)]) {
      try {
        await rmdir(empty);
      } catch (error) {
        if (isErrno(error, 'ENOENT')) continue;
        if (isErrno(error, 'ENOTEMPTY', 'EEXIST')) return;
        throw error;
      }
    }
  }
}

async function namesOf(folder: string): Promise<string[]> {
  return (await namesIn(folder)).filter(isName);
}

/** When something was last made or removed in a folder, in ms; undefined if it is gone. */
async function changedAt(folder: string): Promise<number | undefined> {
  try {
    return (await stat(folder)).mtimeMs;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
