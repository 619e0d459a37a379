import { execFile } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Config } from '../config.js';
import { isErrno } from '../disk/errno.js';
import { StartError } from './start-error.js';

/** How long Temporal keeps a closed workflow, and with it the record of a finished job. */
const retention = '720h';

const dynamicConfig = {
  // Fairness among tenants and strict priorities hold within a partition, so there is one.
  'matching.enableFairness': true,
  'matching.numTaskqueueReadPartitions': 1,
  'matching.numTaskqueueWritePartitions': 1,
  // Timers and retries fire when they are due, not up to a second later.
  'history.timerProcessorMaxTimeShift': '50ms',
  // A workflow that has just closed can be deleted after seconds, not half a minute.
  'history.transferProcessorUpdateAckInterval': '1s',
  'history.visibilityProcessorUpdateAckInterval': '1s',
  // Workflows whose tasks fail are marked after this many failures, for /readyz.
  'system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute': 2,
};

/**
 * The binary of the embedded server: TEMPORAL_CLI, else `temporal` on PATH, else the one that set-up installed.
 * @throws StartError when there is none
 */
export function findTemporal(config: Config): string {
  const { cli } = config.temporal;
  if (cli !== undefined) {
    if (isProgram(cli)) return cli;
    throw new StartError(
      `TEMPORAL_CLI=${cli} is not a program. Correct it, or unset it to use the one that set-up installs.`,
    );
  }
  const installed = dirname(config.python);
  const found = [...config.searchPath, installed].map((folder) => join(folder, 'temporal')).find(isProgram);
  if (found !== undefined) return found;
  throw new StartError(
    `No Temporal binary on PATH or in ${installed}. Run npm run setup, or install the Temporal CLI ` +
      '(https://docs.temporal.io/cli) and set TEMPORAL_CLI to its path.',
  );
}

/** The command line of the embedded server. Its database is in `folder`, written through to the disk. */
export function temporalServer(config: Config, binary: string, folder: string): string[] {
  const dynamic = Object.entries(dynamicConfig).flatMap(([key, value]) => [
    '--dynamic-config-value',
    `${key}=${JSON.stringify(value)}`,
  ]);
  const { namespace, port, uiPort } = config.temporal;
  return [
    ...[binary, 'server', 'start-dev', '--ip', '127.0.0.1', '--port', String(port), '--ui-port', String(uiPort)],
    // Its own default is to log nothing; what it warns of tells why it died.
    ...['--log-level', 'warn'],
    ...['--namespace', namespace, '--db-filename', join(folder, 'temporal.db')],
    ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=FULL'],
    ...dynamic,
  ];
}

/**
 * Makes Temporal keep finished jobs for 30 days instead of one. The server must accept connections already.
 * @returns whether it is done; false while the server isn't ready for it
 */
export async function setRetention(config: Config, binary: string): Promise<boolean> {
  const { address, namespace } = config.temporal;
  const where = ['--address', address, '--namespace', namespace];
  try {
    const command = ['operator', 'namespace', 'update', ...where, '--retention', retention];
    await promisify(execFile)(binary, command, { timeout: 10_000 });
    return true;
  } catch (error) {
    // It exits with 1 while the namespace isn't there yet. The caller goes on asking.
    const isRefusal =
      error instanceof Error && 'code' in error && (typeof error.code === 'number' || error.code === null);
    if (isRefusal) return false;
    throw error;
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return false;
    throw error;
  }
}
