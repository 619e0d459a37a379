import { join } from 'node:path';
import type { Config } from '../config.js';
import { LockRefused, takeLock } from './lock.js';
import type { ServiceRecord } from './record.js';
import { StartError } from './start-error.js';

const waitMs = 5000;

/**
 * Takes the data folder for this process, by a kernel lock that ends with us however we end.
 * @param lost called if the lock is lost: then nothing keeps a second service from this folder any more
 * @throws StartError naming the service that has the folder
 */
export async function holdDataFolder(config: Config, record: ServiceRecord, lost: () => void): Promise<void> {
  try {
    await takeLock(config, { file: join(config.dataDir, 'service.lock'), waitMs }, lost);
  } catch (error) {
    if (!(error instanceof LockRefused)) throw error;
    if (!error.held)
      throw new StartError(`The data folder ${config.dataDir} can't be locked: ${error.message}`, { cause: error });
    const owner = record.livingParent();
    const who = owner === undefined ? error.message : `in use by pid ${owner.pid}`;
    throw new StartError(
      `The data folder ${config.dataDir} is ${who}. End that service first, or set DATA_DIR to another folder.`,
      { cause: error },
    );
  }
}
