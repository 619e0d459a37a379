import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { isErrno } from '../disk/errno.js';
import { PastRun } from '../job/eta.js';
import type { PlaybookSpec } from '../job/kinds/playbook.js';

const rememberedRuns = 10;
const rememberedPlaybooks = 1_000;
const Record = z.object({ runs: z.array(PastRun) });

/** How long the last successful runs of each playbook took on this node. Nothing rests on it but estimates. */
export class Durations {
  constructor(private readonly folder: string) {}

  /** The last runs of the same work, the latest last; none if what is on disk can't be read. */
  async of(tenant: string, spec: PlaybookSpec): Promise<PastRun[]> {
    try {
      const text = await readFile(this.fileOf(tenant, spec), 'utf8');
      return Record.safeParse(JSON.parse(text)).data?.runs.slice(-rememberedRuns) ?? [];
    } catch (error) {
      if (error instanceof SyntaxError || isErrno(error, 'ENOENT', 'EISDIR', 'EIO', 'EACCES')) return [];
      throw error;
    }
  }

  /** Adds a run. Not durable on purpose: a crash may cost an estimate. @throws Error when the disk refuses it */
  async add(tenant: string, spec: PlaybookSpec, run: PastRun): Promise<void> {
    const runs = [...(await this.of(tenant, spec)), run].slice(-rememberedRuns);
    const file = this.fileOf(tenant, spec);
    const aside = `${file}.${randomBytes(4).toString('hex')}`;
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    try {
      await writeFile(aside, JSON.stringify({ runs }), { mode: 0o600 });
      await rename(aside, file);
    } catch (error) {
      await rm(aside, { force: true });
      throw error;
    }
    await this.forgetOldest();
  }

  private fileOf(tenant: string, spec: PlaybookSpec): string {
    const { playbook, inventory, limit, tags, skip_tags, check } = spec;
    const work = JSON.stringify([tenant, playbook, inventory, limit ?? null, tags, skip_tags, check]);
    return path.join(this.folder, `${createHash('sha256').update(work).digest('hex').slice(0, 32)}.json`);
  }

  private async forgetOldest(): Promise<void> {
    const names = await readdir(this.folder);
    if (names.length <= rememberedPlaybooks) return;
    const files = await Promise.all(
      names.map(async (name) => {
        const file = path.join(this.folder, name);
        return { file, changed: await changeOf(file) };
      }),
    );
    files.sort((one, other) => one.changed - other.changed);
    // A tenth at once, so that this is not done at each end of a job.
    const surplus = files.slice(0, names.length - rememberedPlaybooks * 0.9);
    for (const { file } of surplus) await rm(file, { force: true });
  }
}

async function changeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).mtimeMs;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 0;
    throw error;
  }
}
