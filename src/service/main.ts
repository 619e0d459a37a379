import { ConfigError, loadConfig } from '../config.js';
import { DataFolderError } from '../node/data-folder.js';
import { TokensError } from '../tokens/token-file.js';
import { setupFailed } from './child.js';
import { watchLauncher } from './launcher.js';
import { Service } from './service.js';
import { StartError } from './start-error.js';
import { endingSignals } from './signals.js';

/** `npm start`: runs Temporal, the worker and the API as children until it is asked to end. */
async function main(): Promise<number> {
  const config = loadConfig();
  const service = new Service(config, say);
  for (const signal of endingSignals()) process.on(signal, () => service.requestEnd());
  if (config.startedByNpm) watchLauncher(process.ppid, () => service.requestEnd());
  return service.run();
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

// The terminal or pipe may be gone before us. What is said then has no reader; the children must be ended all the same.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    const expected = [ConfigError, DataFolderError, StartError, TokensError].some((kind) => error instanceof kind);
    console.error(expected ? (error as Error).message : error);
    process.exit(error instanceof TokensError ? setupFailed : 1);
  },
);
