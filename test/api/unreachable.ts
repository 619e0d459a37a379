import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { createAttempts } from '../../src/ansible/attempts.js';
import { createApp, type Api } from '../../src/api/app.js';
import { Jobs } from '../../src/api/jobs/jobs.js';
import { Nodes } from '../../src/api/temporal/nodes.js';
import { Temporal } from '../../src/api/temporal/connection.js';
import { Retention } from '../../src/api/temporal/retention.js';
import { Outage } from '../../src/api/temporal/outage.js';
import { Pulse } from '../../src/api/temporal/pulse.js';
import { loadConfig } from '../../src/config.js';
import { Foreground } from '../../src/foreground/foreground.js';
import { Records } from '../../src/foreground/records.js';
import { Slots } from '../../src/node/slots.js';
import { AttemptStore } from '../../src/store/attempts.js';
import { InventoryFiles } from '../../src/targets/inventory-files.js';
import { TargetLedger } from '../../src/targets/ledger.js';
import { TokenFile } from '../../src/tokens/token-file.js';
import { RunFolders } from '../../src/store/run-folders.js';

export const port = 8000;

/** The API over folders of its own, with a Temporal that can't be reached: for all that is decided before Temporal is asked. */
export interface UnreachableApi {
  app: Api;
  jobs: Jobs;
  folder: string;
  /** What the API logged. */
  logged: () => string;
  /** A request as a client on this machine sends it. */
  request: (path: string, init?: RequestInit) => Promise<Response>;
  /** Submits a body, as JSON unless it is a string. */
  submit: (body: unknown, query?: string) => Promise<Response>;
}

/**
 * @param loopback whether it is one that only this machine reaches
 * @param temporalAddress by default one at which nobody listens
 */
export async function unreachableApi({
  loopback = true,
  temporalAddress = '127.0.0.1:1',
} = {}): Promise<UnreachableApi> {
  const folder = await temporaryFolder();
  for (const part of ['playbooks', 'inventories', 'runs', 'slots']) await mkdir(path.join(folder, part));
  await writeFile(path.join(folder, 'playbooks', 'hello.yml'), '- name: Hello\n  hosts: all\n');
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => lines.push(line) });
  const temporal = new Temporal({ address: temporalAddress, namespace: 'default', identity: 'test' });
  onTestFinished(() => temporal.close());
  const slots = new Slots(path.join(folder, 'slots'), 1);
  const store = new AttemptStore(
    path.join(folder, 'runs'),
    slots,
    new TargetLedger(path.join(folder, 'targets')),
    'here',
  );
  const nodes = new Nodes(temporal);
  const { root, python } = loadConfig({});
  const outage = new Outage(temporalAddress);
  onTestFinished(() => outage.stop());
  const folders = new RunFolders(path.join(folder, 'runs'));
  const foreground = new Foreground({
    records: new Records(path.join(folder, 'foreground')),
    attempts: createAttempts({
      root,
      python,
      playbooksDir: path.join(folder, 'playbooks'),
      inventoriesDir: path.join(folder, 'inventories'),
      runsDir: path.join(folder, 'runs'),
      killGraceMs: 1000,
      env: {},
    }),
    slots,
    store,
    folders,
    log,
    nodeId: 'here',
    confirmIntervalMs: 500,
    killGraceMs: 1000,
    requireSpace: () => Promise.resolve(),
    enter: () => Promise.resolve(false),
  });
  const jobs = new Jobs(temporal, store, nodes, foreground, undefined);
  const app = createApp({
    temporal,
    jobs,
    nodes,
    pulse: new Pulse(temporal, outage),
    foreground,
    fallback: undefined,
    store,
    order: { tenantWeights: new Map() },
    folders,
    retention: new Retention(temporal, true),
    log,
    tokens: new TokenFile(path.join(folder, 'tokens.json')),
    port,
    loopback,
    playbooksDir: path.join(folder, 'playbooks'),
    inventoriesDir: path.join(folder, 'inventories'),
    syncMaxWaitMs: 1000,
    ending: new AbortController().signal,
    targetHosts: {
      find: (_inventory, _extraVars, pattern) =>
        Promise.resolve([{ name: pattern, connection: 'ssh', shell: 'sh', becomes: false }]),
      inventories: new InventoryFiles(path.join(folder, 'inline'), {
        inventoriesDir: path.join(folder, 'inventories'),
        python,
      }),
    },
  });
  const request: UnreachableApi['request'] = async (where, init = {}) =>
    app.request(where, {
      ...init,
      headers: { host: `127.0.0.1:${port}`, ...(init.headers as Record<string, string>) },
    });
  return {
    app,
    jobs,
    folder,
    logged: () => lines.join(''),
    request,
    submit: (body, query = '') =>
      request(`/api/v1/jobs${query}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
  };
}

/** A folder that goes away with the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'longhaul-api-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

/** The body of a problem, after a look at its form. */
export async function problemOf(response: Response): Promise<any> {
  if (response.headers.get('content-type') !== 'application/problem+json') throw new Error(await response.text());
  const problem: any = await response.json();
  if (problem.status !== response.status) throw new Error(`status ${problem.status} in a ${response.status}`);
  return problem;
}
