import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { AnsibleAgent } from '../ansible/agent/agent.js';
import { createAttempts } from '../ansible/attempts.js';
import { playbookEnvironment } from '../ansible/environment.js';
import { ConfigError, environment, loadConfig } from '../config.js';
import { makeFolder } from '../disk/durable.js';
import { Foreground } from '../foreground/foreground.js';
import { Records } from '../foreground/records.js';
import { DataFolderError, dataFolderOf, openDataFolder, requireSpace } from '../node/data-folder.js';
import { nodeIdOf } from '../node/identity.js';
import { Slots } from '../node/slots.js';
import { AttemptStore } from '../store/attempts.js';
import { InventoryFiles } from '../targets/inventory-files.js';
import { findThrough } from '../targets/through-agent.js';
import { TargetLedger } from '../targets/ledger.js';
import { requireTokens } from '../tokens/start.js';
import { TokenFile, TokensError } from '../tokens/token-file.js';
import { RunFolders } from '../store/run-folders.js';
import { createApp } from './app.js';
import { Jobs } from './jobs/jobs.js';
import { listen, ListenError } from './listen.js';
import { logOf } from './log.js';
import { Temporal } from './temporal/connection.js';
import { enterJob } from './temporal/enter.js';
import { Nodes } from './temporal/nodes.js';
import { Retention } from './temporal/retention.js';
import { Outage } from './temporal/outage.js';
import { Pulse } from './temporal/pulse.js';

/** What `npm start` sets for this process alone (src/service/service.ts); playbooks in the foreground don't get it. */
const ownVariables = ['MALLOC_TRIM_THRESHOLD_', 'MALLOC_ARENA_MAX'];

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
  const slots = new Slots(folder.slots, config.maxConcurrentPlaybooks);
  const store = new AttemptStore(folder.runs, slots, new TargetLedger(folder.targets), nodeId);

  const { address, namespace, embedded, uiPort } = config.temporal;
  const identity = `api/${process.pid}-${randomBytes(4).toString('hex')}`;
  const temporal = new Temporal({ address, namespace, identity });
  const temporalUi = embedded ? `http://127.0.0.1:${uiPort}/namespaces/${encodeURIComponent(namespace)}` : undefined;
  const nodes = new Nodes(temporal);
  const order = {
    tenantWeights: config.tenantWeights,
    ...(config.maxConcurrentPerTenant !== undefined && { tenantLimit: config.maxConcurrentPerTenant }),
  };
  const outage = new Outage(address);
  if (config.fallback === 'sync') {
    await openDataFolder(dataDir);
    await slots.open();
  }
  const folders = new RunFolders(folder.runs);
  const foreground = new Foreground({
    records: new Records(folder.foreground),
    nodeId,
    store,
    folders,
    slots,
    log,
    attempts: createAttempts({
      root: config.root,
      python: config.python,
      playbooksDir,
      inventoriesDir,
      ...(config.vaultPasswordFile !== undefined && { vaultPasswordFile: config.vaultPasswordFile }),
      runsDir: folder.runs,
      killGraceMs: config.killGraceMs,
      env: playbookEnvironment(process.env, [...Object.keys(environment.shape), ...ownVariables]),
    }),
    confirmIntervalMs: config.confirmIntervalMs,
    killGraceMs: config.killGraceMs,
    requireSpace: () => requireSpace(folder.runs, config.minFreeBytes),
    ...(config.maxConcurrentPerTenant !== undefined && { tenantLimit: config.maxConcurrentPerTenant }),
    enter: (ended, signal) => enterJob(temporal, ended, order, signal),
  });
  const agent = new AnsibleAgent({
    root: config.root,
    python: config.python,
    playbooksDir,
    env: playbookEnvironment(process.env, [...Object.keys(environment.shape), ...ownVariables]),
    id: `api-${nodeId}-${port}`,
    ...(config.vaultPasswordFile !== undefined && { vaultPasswordFile: config.vaultPasswordFile }),
    log: (line) => log.warn(line),
  });
  const jobs = new Jobs(temporal, store, nodes, foreground, temporalUi);

  const ending = new AbortController();
  setMaxListeners(0, ending.signal);
  const app = createApp({
    temporal,
    jobs,
    nodes,
    store,
    order,
    folders,
    retention: new Retention(temporal, embedded),
    pulse: new Pulse(temporal, outage),
    foreground,
    fallback: config.fallback === 'sync' ? { outage, afterMs: config.fallbackAfterMs } : undefined,
    log,
    tokens: new TokenFile(config.tokens.file),
    port,
    loopback,
    playbooksDir,
    inventoriesDir,
    syncMaxWaitMs,
    ending: ending.signal,
    targetHosts: { find: findThrough(agent), inventories: new InventoryFiles(folder.inventories, config) },
  });
  const listening = await listen(app, host, port, log);
  foreground.start();
  log.info({ host, port }, 'api ready');

  const end = async (signal: NodeJS.Signals): Promise<void> => {
    log.info({ signal }, 'api ends; jobs go on');
    ending.abort();
    await listening.close();
    await agent.stop();
    await foreground.stop();
    outage.stop();
    slots.close();
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
  const isExplained = isConfiguration || error instanceof ListenError || error instanceof DataFolderError;
  process.stderr.write(`${isExplained ? error.message : String((error as Error).stack)}\n`);
  process.exit(isConfiguration ? cannotBeConfigured : 1);
}

main().catch(fail);
