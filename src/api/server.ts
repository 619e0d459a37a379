import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { ConfigError, loadConfig } from '../config.js';
import { makeFolder } from '../disk/durable.js';
import { dataFolderOf } from '../node/data-folder.js';
import { nodeIdOf } from '../node/identity.js';
import { Slots } from '../node/slots.js';
import { AttemptStore } from '../store/attempts.js';
import { requireTokens } from '../tokens/start.js';
import { TokenFile, TokensError } from '../tokens/token-file.js';
import { RunFolders } from '../store/run-folders.js';
import { createApp } from './app.js';
import { Jobs } from './jobs/jobs.js';
import { listen, ListenError } from './listen.js';
import { logOf } from './log.js';
import { Temporal } from './temporal/connection.js';
import { Nodes } from './temporal/nodes.js';
import { Retention } from './temporal/retention.js';

/** Exit code of a process that can't work with what it was given (sysexits' EX_CONFIG). */
const cannotBeConfigured = 78;

/** The API's process: wires the parts and serves until it is told to end. */
async function main(): Promise<void> {
  // Else garbage may double the heap before it is collected, and documents and output are all garbage once sent.
  setFlagsFromString('--heap-growing-percent=20');
  const config = loadConfig(process.env);
  const log = logOf(config.logLevel);
  const { host, port, loopback, dataDir, playbooksDir, inventoriesDir, syncMaxWaitMs } = config;

  const warning = await requireTokens({ host, loopback, ...config.tokens });
  if (warning !== undefined) log.warn(warning);

  await makeFolder(dataDir);
  const folder = dataFolderOf(dataDir);
  const nodeId = nodeIdOf(dataDir, config.nodeId);
  const store = new AttemptStore(folder.runs, new Slots(folder.slots, config.maxConcurrentPlaybooks), nodeId);

  const { address, namespace, embedded, uiPort } = config.temporal;
  const identity = `api/${process.pid}-${randomBytes(4).toString('hex')}`;
  const temporal = new Temporal({ address, namespace, identity });
  const temporalUi = embedded ? `http://127.0.0.1:${uiPort}/namespaces/${encodeURIComponent(namespace)}` : undefined;
  const nodes = new Nodes(temporal);
  const jobs = new Jobs(temporal, store, nodes, temporalUi);

  const ending = new AbortController();
  setMaxListeners(0, ending.signal);
  const app = createApp({
    temporal,
    jobs,
    nodes,
    store,
    order: {
      tenantWeights: config.tenantWeights,
      ...(config.maxConcurrentPerTenant !== undefined && { tenantLimit: config.maxConcurrentPerTenant }),
    },
    folders: new RunFolders(folder.runs),
    retention: new Retention(temporal, embedded),
    log,
    tokens: new TokenFile(config.tokens.file),
    port,
    loopback,
    playbooksDir,
    inventoriesDir,
    syncMaxWaitMs,
    ending: ending.signal,
  });
  const listening = await listen(app, host, port, log);
  log.info({ host, port }, 'api ready');

  const end = async (signal: NodeJS.Signals): Promise<void> => {
    log.info({ signal }, 'api ends; jobs go on');
    ending.abort();
    await listening.close();
    await temporal.close();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      end(signal).catch(fail);
    });
  }
}

function fail(error: unknown): void {
  const isConfiguration = error instanceof ConfigError || error instanceof TokensError;
  const isExplained = isConfiguration || error instanceof ListenError;
  process.stderr.write(`${isExplained ? error.message : String((error as Error).stack)}\n`);
  process.exit(isConfiguration ? cannotBeConfigured : 1);
}

main().catch(fail);
