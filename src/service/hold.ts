import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Config } from '../config.js';
import { guarded, lockHeld } from './guard.js';
import type { ServiceRecord } from './record.js';
import { StartError } from './start-error.js';

const waitMs = 2000;

/**
 * Takes the data folder for this process, by a kernel lock. Node can't hold one, so a small helper does; it ends with us however we
 * end.
 * @param lost called if the helper is ended by someone else: then nothing keeps a second service from this folder any more
 * @throws StartError naming the service that has the folder
 */
export async function holdDataFolder(config: Config, record: ServiceRecord, lost: () => void): Promise<void> {
  const lock = { file: join(config.dataDir, 'service.lock'), waitMs };
  const [program = '', ...args] = guarded(config, ['sh', '-c', 'echo held; exec cat >&2'], lock);
  const helper = spawn(program, args, { detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  helper.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));

  const held = once(helper.stdout, 'data').then(() => undefined);
  const refused = once(helper, 'close').then(([code]) => code as number | null);
  const code = await Promise.race([held, refused]);
  if (code === undefined) {
    helper.once('close', lost);
    return;
  }
  if (code !== lockHeld) throw new StartError(`The data folder ${config.dataDir} can't be locked: ${said.trim()}`);
  const owner = record.livingParent();
  const who = owner === undefined ? said.trim() : `in use by pid ${owner.pid}`;
  throw new StartError(
    `The data folder ${config.dataDir} is ${who}. End that service first, or set DATA_DIR to another folder.`,
  );
}
