import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Client } from '@temporalio/client';
import {
  DefaultLogger,
  makeTelemetryFilterString,
  NativeConnection,
  Runtime,
  Worker,
  type WorkerOptions,
} from '@temporalio/worker';
import { pino } from 'pino';
import { createAbsenceActivities } from './src/activities/absence.js';
import type { NodeContext } from './src/activities/context.js';
import { createNodeActivities, createPlacementActivities, createTargetActivities } from './src/activities/create.js';
import { createEngineActivities } from './src/activities/engine.js';
import { PlaceSlots } from './src/activities/place-slots.js';
import { NodeTakenError, Presence } from './src/activities/presence.js';
import { failActivitiesOfDeadWorkers, failUnheardActivities } from './src/activities/recover.js';
import { createCleanUp } from './src/activities/clean-up/clean-up.js';
import { connectPatiently } from './src/activities/connect.js';
import { Rounds } from './src/activities/rounds.js';
import { sweep } from './src/activities/sweep.js';
import type { TargetContext } from './src/activities/targets/context.js';
import { sweepTargets } from './src/activities/targets/sweep.js';
import { AnsibleAgent } from './src/ansible/agent/agent.js';
import { createAttempts } from './src/ansible/attempts.js';
import { playbookEnvironment } from './src/ansible/environment.js';
import { environment, loadConfig } from './src/config.js';
import { nodeTaskQueue, resumedTaskQueue, sharedTaskQueue } from './src/job/protocol.js';
import { targetsTaskQueue } from './src/job/target-protocol.js';
import { openDataFolder, requireSpace } from './src/node/data-folder.js';
import { Durations } from './src/node/durations.js';
import { bindingOf, nodeIdOf } from './src/node/identity.js';
import { Slots } from './src/node/slots.js';
import { RunFolders } from './src/store/run-folders.js';
import { TargetCalls } from './src/targets/calls.js';
import { InventoryFiles } from './src/targets/inventory-files.js';
import { TargetLedger } from './src/targets/ledger.js';
import { findThrough, modulesThrough } from './src/targets/through-agent.js';
import { Watches } from './src/targets/watches.js';

/** A node's worker: wires the parts and serves until it is told to end. Attempts go on without it. */
const config = loadConfig(process.env);
const log = pino({ level: config.logLevel, base: { process: 'worker' } });
/** Said of each worker that serves activities alone, as two of ours do on purpose. */
const isExpected = (message: string): boolean => message.startsWith('No workflows registered');
Runtime.install({
  logger: new DefaultLogger('WARN', ({ level, message, meta }) => {
    if (isExpected(message)) return;
    log[level === 'ERROR' ? 'error' : 'warn']({ ...meta, err: meta?.error as unknown, error: undefined }, message);
  }),
  telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }), forward: {} } },
});

const folder = await openDataFolder(config.dataDir);
const nodeId = nodeIdOf(config.dataDir, config.nodeId);
const identity = { prefix: `${nodeId}/`, own: `${nodeId}/${process.pid}-${randomBytes(4).toString('hex')}` };
const slots = new Slots(folder.slots, config.maxConcurrentPlaybooks);
await slots.open();

const ending = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    log.info({ signal }, 'worker ends; what it watched goes on');
    ending.abort();
  });
}
const connection = await connectPatiently(
  () => NativeConnection.connect({ address: config.temporal.address }),
  log,
  ending.signal,
);
const client = new Client({ connection, namespace: config.temporal.namespace, identity: identity.own });
const context: NodeContext = {
  nodeId,
  slots,
  folders: new RunFolders(folder.runs),
  ledger: new TargetLedger(folder.targets),
  client,
  log,
  attempts: createAttempts({
    root: config.root,
    python: config.python,
    playbooksDir: config.playbooksDir,
    inventoriesDir: config.inventoriesDir,
    ...(config.vaultPasswordFile !== undefined && { vaultPasswordFile: config.vaultPasswordFile }),
    runsDir: folder.runs,
    killGraceMs: config.killGraceMs,
    env: playbookEnvironment(process.env, Object.keys(environment.shape)),
  }),
  heartbeatTimeoutMs: config.heartbeatTimeoutMs,
  retryIntervalMs: config.retryIntervalMs,
  confirmIntervalMs: config.confirmIntervalMs,
  killGraceMs: config.killGraceMs,
  durations: new Durations(folder.durations),
  requireSpace: () => requireSpace(folder.runs, config.minFreeBytes),
};
const agent = new AnsibleAgent({
  root: config.root,
  python: config.python,
  playbooksDir: config.playbooksDir,
  env: playbookEnvironment(process.env, Object.keys(environment.shape)),
  id: `worker-${nodeId}`,
  ...(config.vaultPasswordFile !== undefined && { vaultPasswordFile: config.vaultPasswordFile }),
  log: (line) => log.warn(line),
});
const calls = new TargetCalls(modulesThrough(agent));
const targetContext: TargetContext = {
  ...context,
  targets: {
    calls,
    watches: new Watches(calls, log),
    log,
    confirmIntervalMs: config.confirmIntervalMs,
    killGraceMs: config.killGraceMs,
    inventories: new InventoryFiles(folder.inventories, config),
    find: findThrough(agent),
  },
};
const sweeps = new Rounds(
  () => sweep(context),
  config.sweepIntervalMs,
  (error) => log.error({ err: error }, 'sweep failed'),
);
// Rounds of its own: hosts that don't answer take their time.
const targetSweeps = new Rounds(
  (signal) => sweepTargets(targetContext, signal),
  config.sweepIntervalMs,
  (error) => log.error({ err: error }, 'sweep of target hosts failed'),
);
const cleanUps = new Rounds(createCleanUp(context), config.cleanupIntervalMs, (error) =>
  log.error({ err: error }, 'clean-up failed'),
);
/** Exit code of a process that can't work with what it was given (sysexits' EX_CONFIG). */
const cannotBeConfigured = 78;
let failure: NodeTakenError | undefined;
const endAsTaken = (error: NodeTakenError): void => {
  failure = error;
  ending.abort();
};
const presence = new Presence(
  context,
  {
    node: nodeId,
    binding: bindingOf(config.dataDir),
    incarnation: identity.own,
    host: os.hostname(),
    data_dir: config.dataDir,
    slots: config.maxConcurrentPlaybooks,
    timeout_ms: config.nodeTimeoutMs,
    lost_after_ms: config.nodeLostAfterMs,
  },
  endAsTaken,
);
const placeSlots = new PlaceSlots(slots);

const common = {
  connection,
  namespace: config.temporal.namespace,
  identity: identity.own,
  shutdownGraceTime: 0,
  shutdownForceTime: '5s',
} satisfies Partial<WorkerOptions>;
const shared = await Worker.create({
  ...common,
  taskQueue: sharedTaskQueue,
  workflowBundle: { code: await readFile(path.join(config.root, 'dist', 'workflow-bundle.js'), 'utf8') },
  activities: {
    ...createPlacementActivities(context),
    ...createEngineActivities(context),
    ...createAbsenceActivities(context),
  },
  // A worker that was killed must not keep its workflows waiting for it.
  stickyQueueScheduleToStartTimeout: '1s',
  tuner: {
    // The time limit of a task runs as soon as it is here, and one thread does them all.
    workflowTaskSlotSupplier: { type: 'fixed-size', numSlots: 20 },
    activityTaskSlotSupplier: placeSlots,
    localActivityTaskSlotSupplier: { type: 'fixed-size', numSlots: 40 },
    nexusTaskSlotSupplier: { type: 'fixed-size', numSlots: 1 },
  },
});
const serve = (worker: Worker): Promise<void> => {
  const end = (): void => {
    if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  ending.signal.addEventListener('abort', end);
  const serving = worker.run();
  if (ending.signal.aborted) end();
  return serving;
};

const serving = [serve(shared)];
try {
  await presence.claim(ending.signal);
  const ofThisNode = await Worker.create({
    ...common,
    taskQueue: nodeTaskQueue(nodeId),
    activities: {
      ...createNodeActivities(context, presence, () => {
        sweeps.soon();
        targetSweeps.soon();
      }),
      ...createTargetActivities(targetContext, () => targetSweeps.soonish()),
    },
    maxConcurrentActivityTaskExecutions: 20_000,
    maxHeartbeatThrottleInterval: '1s',
  });
  const forResumedRuns = await Worker.create({
    ...common,
    taskQueue: resumedTaskQueue,
    activities: createPlacementActivities(context),
    maxConcurrentActivityTaskExecutions: 4,
    maxConcurrentActivityTaskPolls: 1,
  });
  const forTargets = await Worker.create({
    ...common,
    taskQueue: targetsTaskQueue,
    activities: createTargetActivities(targetContext, () => targetSweeps.soonish()),
    maxConcurrentActivityTaskExecutions: 20_000,
    maxHeartbeatThrottleInterval: '1s',
  });
  serving.push(serve(ofThisNode), serve(forResumedRuns), serve(forTargets));
  placeSlots.begin();
  await failActivitiesOfDeadWorkers(context, identity);
  void failUnheardActivities(context, identity, ending.signal).catch((error: unknown) =>
    log.warn({ err: error }, 'open jobs could not be listed'),
  );
  sweeps.start();
  targetSweeps.start();
  cleanUps.start();
  log.info({ nodeId, slots: slots.limit }, 'serving');
  // For `npm start`, which waits for this line, whatever the log level is.
  console.log('worker ready');
} catch (error) {
  if (error instanceof NodeTakenError) endAsTaken(error);
  else if (!ending.signal.aborted) throw error;
}
await Promise.all(serving);
presence.stop();
await Promise.all([sweeps.stop(), targetSweeps.stop(), cleanUps.stop()]);
await agent.stop();
slots.close();
await connection.close();
if (failure !== undefined) {
  console.error(failure.message);
  process.exit(cannotBeConfigured);
}
