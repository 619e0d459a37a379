import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { isErrno } from '../disk/errno.js';
import { liveness, ProcessIdentity } from '../ansible/identity.js';
import { endProcess } from './end-process.js';

const Processes = z.object({ parent: ProcessIdentity, children: z.record(z.string(), ProcessIdentity) });
type Processes = z.infer<typeof Processes>;

/** Who runs, or ran, the service on a data folder: what a later start needs to end what an earlier one left. */
export class ServiceRecord {
  readonly #file: string;

  constructor(dataFolder: string) {
    this.#file = join(dataFolder, 'service.json');
  }

  write(processes: Processes): void {
    try {
      writeFileSync(`${this.#file}.new`, JSON.stringify(processes), { mode: 0o600, flush: true });
      renameSync(`${this.#file}.new`, this.#file);
    } catch (error) {
      // The kernel's locks and signals keep order without it, and a full disk must not end what runs.
      if (!isErrno(error, 'ENOSPC', 'EDQUOT')) throw error;
    }
  }

  /** The parent that lives now, if one does. */
  livingParent(): ProcessIdentity | undefined {
    const parent = this.#read()?.parent;
    return parent !== undefined && liveness(parent) !== 'dead' ? parent : undefined;
  }

  /** Ends the children that outlived an earlier parent. Returns their names. */
  async endLeftovers(graceMs: number): Promise<string[]> {
    const left = Object.entries(this.#read()?.children ?? {}).filter(([, process]) => liveness(process) === 'alive');
    await Promise.all(left.map(([, process]) => endProcess(process, graceMs)));
    return left.map(([name]) => name);
  }

  #read(): Processes | undefined {
    if (!existsSync(this.#file)) return undefined;
    try {
      return Processes.safeParse(JSON.parse(readFileSync(this.#file, 'utf8'))).data;
    } catch (error) {
      if (error instanceof SyntaxError) return undefined;
      throw error;
    }
  }
}
