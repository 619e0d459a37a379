import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { isIP } from 'node:net';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/** Everything the environment decides. Paths are absolute, durations whole milliseconds, sizes bytes. Frozen. */
export interface Config {
  /** The folder of Longhaul's own package.json; relative paths in the environment start here. */
  readonly root: string;
  /** The Python that set-up made; Ansible's programs are beside it. */
  readonly python: string;
  readonly host: string;
  /** Whether `host` is an address that only this machine reaches. */
  readonly loopback: boolean;
  readonly port: number;
  readonly dataDir: string;
  readonly tokens: {
    readonly file: string;
    /** Whether the environment names the file. */
    readonly named: boolean;
  };
  readonly playbooksDir: string;
  readonly inventoriesDir: string;
  readonly vaultPasswordFile?: string;
  readonly temporal: {
    /** `host:port` of the frontend, embedded or not. */
    readonly address: string;
    /** Whether `npm start` runs a Temporal server of its own. */
    readonly embedded: boolean;
    readonly namespace: string;
    readonly port: number;
    readonly uiPort: number;
    /** The Temporal binary that was asked for; absent: it is looked for. */
    readonly cli?: string;
  };
  readonly nodeId?: string;
  readonly maxConcurrentPlaybooks: number;
  /** Of a tenant, over all nodes; absent: any number. */
  readonly maxConcurrentPerTenant?: number;
  /** The shares of tenants among those that wait; 1 for those that aren't named. */
  readonly tenantWeights: ReadonlyMap<string, number>;
  readonly syncMaxWaitMs: number;
  /** What becomes of an unnamed job while Temporal is away: `sync` runs it in the foreground. */
  readonly fallback: 'sync' | 'none';
  readonly fallbackAfterMs: number;
  readonly heartbeatTimeoutMs: number;
  readonly retryIntervalMs: number;
  readonly sweepIntervalMs: number;
  readonly nodeTimeoutMs: number;
  readonly nodeLostAfterMs: number;
  readonly cleanupIntervalMs: number;
  readonly killGraceMs: number;
  readonly confirmIntervalMs: number;
  readonly minFreeBytes: number;
  /** The size from which a process's log is put aside. */
  readonly logMaxBytes: number;
  readonly logLevel: (typeof logLevels)[number];
  /** The folders of PATH. */
  readonly searchPath: readonly string[];
  /** Whether an npm script runs us, which is then the process to follow. */
  readonly startedByNpm: boolean;
}

/** A variable of the environment has a value that can't be used. The message names each one and what is allowed. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * Turns environment variables into the configuration.
 * @param env an empty value counts as unset
 * @throws ConfigError with a line for each variable that can't be used
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>> = process.env): Config {
  const root = packageRoot();
  const given = Object.fromEntries(
    Object.keys(environment.shape).map((name) => [name, env[name]?.trim() || undefined]),
  );
  const parsed = environment.safeParse(given);
  if (!parsed.success) throw new ConfigError(explain(parsed.error, given));

  const values = parsed.data;
  const embedded = values.TEMPORAL_ADDRESS === undefined;
  refuseSharedPorts(values, embedded);
  return deepFreeze({
    root,
    python: pythonOf(root),
    host: values.HOST,
    loopback: loopback.test(values.HOST),
    port: values.PORT,
    dataDir: resolve(root, values.DATA_DIR),
    tokens: {
      file: resolve(root, values.TOKENS_FILE ?? join(values.DATA_DIR, 'tokens.json')),
      named: values.TOKENS_FILE !== undefined,
    },
    playbooksDir: resolve(root, values.PLAYBOOKS_DIR),
    inventoriesDir: resolve(root, values.INVENTORIES_DIR),
    ...(values.VAULT_PASSWORD_FILE !== undefined && { vaultPasswordFile: resolve(root, values.VAULT_PASSWORD_FILE) }),
    temporal: {
      address: values.TEMPORAL_ADDRESS ?? `127.0.0.1:${values.TEMPORAL_PORT}`,
      embedded,
      namespace: values.TEMPORAL_NAMESPACE,
      port: values.TEMPORAL_PORT,
      uiPort: values.TEMPORAL_UI_PORT,
      ...(values.TEMPORAL_CLI !== undefined && { cli: resolve(root, values.TEMPORAL_CLI) }),
    },
    ...(values.NODE_ID !== undefined && { nodeId: values.NODE_ID }),
    maxConcurrentPlaybooks: values.MAX_CONCURRENT_PLAYBOOKS,
    ...(values.MAX_CONCURRENT_PER_TENANT !== undefined && { maxConcurrentPerTenant: values.MAX_CONCURRENT_PER_TENANT }),
    tenantWeights: values.TENANT_WEIGHTS,
    syncMaxWaitMs: milliseconds(values.SYNC_MAX_WAIT),
    fallback: values.FALLBACK ?? (embedded ? 'sync' : 'none'),
    fallbackAfterMs: milliseconds(values.FALLBACK_AFTER),
    heartbeatTimeoutMs: milliseconds(values.HEARTBEAT_TIMEOUT),
    retryIntervalMs: milliseconds(values.RETRY_INTERVAL),
    sweepIntervalMs: milliseconds(values.SWEEP_INTERVAL),
    nodeTimeoutMs: milliseconds(values.NODE_TIMEOUT),
    nodeLostAfterMs: milliseconds(values.NODE_LOST_AFTER),
    cleanupIntervalMs: milliseconds(values.CLEANUP_INTERVAL),
    killGraceMs: milliseconds(values.KILL_GRACE),
    confirmIntervalMs: milliseconds(values.CONFIRM_INTERVAL),
    minFreeBytes: values.MIN_FREE_MB * 1_000_000,
    logMaxBytes: Math.round(values.LOG_MAX_MB * 1_000_000),
    logLevel: values.LOG_LEVEL,
    searchPath: (env.PATH ?? '').split(delimiter).filter((folder) => folder !== ''),
    startedByNpm: env.npm_lifecycle_event !== undefined,
  });
}

/**
 * The folder of Longhaul's package.json, looked for from this file upwards: it is the same for sources and for `dist/`.
 * @throws Error when there is none, which means that the files were moved apart
 */
export function packageRoot(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; folder !== dirname(folder); folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (existsSync(file) && (JSON.parse(readFileSync(file, 'utf8')) as { name?: string }).name === 'longhaul')
      return folder;
  }
  throw new Error(`No package.json of Longhaul in ${start} or above it. Run Longhaul from a complete checkout.`);
}

/** `.venv` is a link that a later set-up turns round: who reads it once keeps the packages that it started with. */
function pythonOf(root: string): string {
  const environment = join(root, '.venv');
  return join(existsSync(environment) ? realpathSync(environment) : environment, 'bin', 'python');
}

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
const loopback = /^(localhost|127(\.\d{1,3}){3}|::1)$/;
const hostName = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;
const nodeName = /^[A-Za-z0-9_~@%+=][A-Za-z0-9._~@%+=-]{0,199}$/;
const hostAndPort = /^(\[[0-9a-fA-F:.]+\]|[^\s:/]+):\d{1,5}$/;

/** The variables, in the order of the documentation that is made from them (`npm run docs`). */
export const environment = z.object({
  HOST: setting(
    z.string().refine(isHost).default('127.0.0.1'),
    'an IP address of this machine (0.0.0.0 or :: for all of them) or a host name',
    'Address on which the API listens. Any other than a loopback one (127.0.0.1, ::1, localhost) needs tokens: without one the service does not start.',
  ),
  PORT: portSetting(8000, 'Port of the API.'),
  DATA_DIR: setting(
    z.string().default('./data'),
    'a folder',
    'Everything that must survive: attempts, the embedded Temporal database, logs. Made with mode 0700.',
  ),
  TOKENS_FILE: setting(
    z.string().optional(),
    'a file',
    "The tokens of the API's callers (`npm run token`). Unset: `tokens.json` in DATA_DIR, which need not be there on a loopback address.",
  ),
  PLAYBOOKS_DIR: setting(
    z.string().default('./playbooks'),
    'a folder',
    'Playbooks that jobs can name, with their roles, variables, `ansible.cfg` ...: Ansible is started in this folder.',
  ),
  INVENTORIES_DIR: setting(z.string().default('./inventories'), 'a folder', 'Inventory files that jobs can name.'),
  VAULT_PASSWORD_FILE: setting(
    z.string().optional(),
    'a file',
    'The password of what is vaulted, or, if it is executable, a program that prints it. Vault settings of `ansible.cfg` hold besides.',
  ),
  TEMPORAL_ADDRESS: setting(
    z.string().regex(hostAndPort).optional(),
    'host:port',
    'A Temporal frontend to use. Unset: `npm start` runs an embedded Temporal server.',
  ),
  TEMPORAL_NAMESPACE: setting(
    z.string().regex(nodeName).default('default'),
    'the name of a namespace',
    'Namespace in Temporal. The embedded server makes it.',
  ),
  TEMPORAL_PORT: portSetting(7233, 'Port of the embedded Temporal server.'),
  TEMPORAL_UI_PORT: portSetting(8233, "Port of the embedded Temporal server's Web UI."),
  TEMPORAL_CLI: setting(
    z.string().optional(),
    'the path of a Temporal CLI binary',
    'Binary of the embedded Temporal server. Unset: `temporal` on PATH, else the one that set-up put into `.venv`.',
  ),
  MAX_CONCURRENT_PLAYBOOKS: setting(
    z.coerce.number().int().min(1).max(1000).default(5),
    'a whole number from 1 to 1000',
    'Attempts that run at the same time on this node.',
  ),
  MAX_CONCURRENT_PER_TENANT: setting(
    z.coerce.number().int().min(1).max(10_000).optional(),
    'a whole number from 1 to 10000',
    'Jobs of one tenant that are placed or running at the same time, over all nodes. Unset: any number.',
  ),
  TENANT_WEIGHTS: setting(
    z.string().default('').transform(weightsOf),
    'tenant=weight, separated by commas; a weight is a number from 0.001 to 1000',
    'Shares of tenants among the jobs that wait for a slot, such as `ops=3,dev=1`; a tenant that is not named has 1.',
  ),
  SYNC_MAX_WAIT: secondsSetting(600, 0, 86_400, 'How long `POST /jobs?sync=true` waits before it answers 202.'),
  FALLBACK: setting(
    z.enum(['sync', 'none']).optional(),
    'sync or none',
    'While Temporal is away: `sync` runs unnamed jobs in the foreground, on this machine, and needs a DATA_DIR that the API and a worker share; `none` answers 503. Unset: `sync` with the embedded Temporal server, else `none`.',
  ),
  FALLBACK_AFTER: secondsSetting(
    3,
    0,
    3600,
    'How long Temporal must have refused connections before jobs run in the foreground.',
  ),
  NODE_ID: setting(
    z.string().regex(nodeName).optional(),
    '1 to 200 of A-Z a-z 0-9 . _ ~ @ % + = -, not starting with . or -',
    "This node's id. Unset: made once, and bound to machine and data folder. Set it to restore a node elsewhere.",
  ),
  HEARTBEAT_TIMEOUT: secondsSetting(
    60,
    1,
    3600,
    'Silence after which Temporal gives the watching of a job to a new worker.',
  ),
  RETRY_INTERVAL: secondsSetting(
    1,
    0.05,
    3600,
    "Pause between Temporal's tries of an activity. Has nothing to do with a job's `retry`.",
  ),
  SWEEP_INTERVAL: secondsSetting(
    60,
    0.1,
    86_400,
    'Pause between two sweeps that look for attempts whose job was closed in Temporal.',
  ),
  NODE_TIMEOUT: secondsSetting(30, 1, 3600, 'Silence after which a node counts as away.'),
  NODE_LOST_AFTER: secondsSetting(
    600,
    1,
    30 * 86_400,
    'How long a node must be away until jobs on it with `on_node_lost` `fail` or `rerun` are given up.',
  ),
  CLEANUP_INTERVAL: secondsSetting(
    300,
    0.1,
    86_400,
    'Pause between two clean-ups, which remove finished jobs whose `ttl` has passed.',
  ),
  KILL_GRACE: secondsSetting(10, 0, 3600, 'From TERM to KILL when a job is canceled or timed out.'),
  CONFIRM_INTERVAL: secondsSetting(1.5, 0.05, 60, 'Between the two looks that it takes to call an attempt `lost`.'),
  MIN_FREE_MB: setting(
    z.coerce.number().min(0).default(100),
    'a number of megabytes, 0 or more',
    'Free space in the data folder, in millions of bytes, below which the service does not start.',
  ),
  LOG_MAX_MB: setting(
    z.coerce.number().min(0.001).default(10),
    'a number of megabytes, 0.001 or more, fractions allowed',
    'Size, in millions of bytes, from which the log of a process is put aside. Four former logs of each are kept.',
  ),
  LOG_LEVEL: setting(
    z.enum(logLevels).default('info'),
    `one of ${logLevels.join(', ')}`,
    'Least level that is logged.',
  ),
});

function isHost(value: string): boolean {
  return isIP(value) !== 0 || hostName.test(value);
}

type Environment = z.infer<typeof environment>;

function setting<T extends z.ZodType>(type: T, allowed: string, description: string): T {
  return type.meta({ allowed, description });
}

function portSetting(standard: number, description: string): z.ZodDefault<z.ZodCoercedNumber> {
  return setting(z.coerce.number().int().min(1).max(65_535).default(standard), 'a port from 1 to 65535', description);
}

function secondsSetting(
  standard: number,
  min: number,
  max: number,
  description: string,
): z.ZodDefault<z.ZodCoercedNumber> {
  const type = z.coerce.number().min(min).max(max).default(standard);
  return setting(type, `seconds from ${min} to ${max}, fractions allowed`, description);
}

function weightsOf(list: string, context: z.RefinementCtx): Map<string, number> {
  const entries = list.split(',').filter((entry) => entry.trim() !== '');
  const weights = entries.map((entry) => {
    const [, tenant = '', weight = ''] = /^\s*([^=\s]+)=([0-9.]+)\s*$/.exec(entry) ?? [];
    if (!nodeName.test(tenant) || !(Number(weight) >= 0.001 && Number(weight) <= 1000))
      context.addIssue({ code: 'custom', message: 'not a list of weights' });
    return [tenant, Number(weight)] as const;
  });
  return new Map(weights);
}

function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000);
}

function explain(error: z.ZodError, given: Record<string, string | undefined>): string {
  const names = [...new Set(error.issues.map((issue) => String(issue.path[0])))];
  const lines = names.map((name) => {
    const allowed = environment.shape[name as keyof Environment].meta()?.allowed;
    return `${name}=${given[name]} can't be used. Allowed: ${String(allowed)}.`;
  });
  return lines.join('\n');
}

function refuseSharedPorts(values: Environment, embedded: boolean): void {
  const names = embedded ? (['PORT', 'TEMPORAL_PORT', 'TEMPORAL_UI_PORT'] as const) : (['PORT'] as const);
  for (const [index, name] of names.entries()) {
    const other = names.slice(index + 1).find((candidate) => values[candidate] === values[name]);
    if (other)
      throw new ConfigError(`${name} and ${other} are both ${values[name]}. Allowed: a different port for each.`);
  }
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) deepFreeze(part);
  return Object.freeze(value);
}
