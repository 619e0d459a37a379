import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../disk/errno.js';
import type { Config } from '../config.js';
import { StartError } from './start-error.js';

type Project = Pick<Config, 'playbooksDir' | 'vaultPasswordFile'>;

/**
 * Makes sure that what playbooks need is there, so that its absence is not first told by a job.
 * @throws StartError
 */
export function requireProject({ playbooksDir, vaultPasswordFile }: Project): void {
  if (!existsSync(playbooksDir) || !statSync(playbooksDir).isDirectory())
    throw new StartError(
      `There is no folder ${playbooksDir} with playbooks. Make it, or set PLAYBOOKS_DIR to another one.`,
    );
  if (vaultPasswordFile !== undefined) requireReadableFile('VAULT_PASSWORD_FILE', vaultPasswordFile);
}

/** What Ansible will pass over in the playbooks folder, in a line each. */
export function warningsAbout({ playbooksDir }: Project): string[] {
  const everyone = constants.S_IWOTH;
  const isIgnored = existsSync(join(playbooksDir, 'ansible.cfg')) && (statSync(playbooksDir).mode & everyone) !== 0;
  return isIgnored
    ? [
        `Ansible ignores ${join(playbooksDir, 'ansible.cfg')}, because everybody may write to that folder. Mend it with: chmod o-w ${playbooksDir}`,
      ]
    : [];
}

function requireReadableFile(variable: string, file: string): void {
  try {
    accessSync(file, constants.R_OK);
    if (statSync(file).isFile()) return;
  } catch (error) {
    const why = isErrno(error, 'ENOENT', 'ENOTDIR') ? 'there is no such file' : (error as Error).message;
    throw new StartError(`${variable}=${file} can't be used: ${why}.`, { cause: error });
  }
  throw new StartError(`${variable}=${file} can't be used: it is not a file.`);
}
