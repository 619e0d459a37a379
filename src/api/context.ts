import type { Logger } from 'pino';
import type { Foreground } from '../foreground/foreground.js';
import type { AttemptStore } from '../store/attempts.js';
import type { TokenFile } from '../tokens/token-file.js';
import type { RunFolders } from '../store/run-folders.js';
import type { Fallback } from './jobs/fallback.js';
import type { Jobs } from './jobs/jobs.js';
import type { Temporal } from './temporal/connection.js';
import type { TargetHosts } from './target-hosts.js';
import type { Nodes } from './temporal/nodes.js';
import type { Pulse } from './temporal/pulse.js';
import type { Order } from './temporal/start.js';
import type { Retention } from './temporal/retention.js';

/** What the routes work with. */
export interface ApiContext {
  temporal: Temporal;
  jobs: Jobs;
  nodes: Nodes;
  store: AttemptStore;
  pulse: Pulse;
  /** Jobs that run, or have run, while Temporal was away. */
  foreground: Foreground;
  /** When new ones may run so; undefined: never. */
  fallback: Fallback | undefined;
  order: Order;
  folders: RunFolders;
  retention: Retention;
  log: Logger;
  tokens: TokenFile;
  /** Where the API listens, and whether only this machine reaches it: for the admission of callers. */
  port: number;
  loopback: boolean;
  playbooksDir: string;
  inventoriesDir: string;
  syncMaxWaitMs: number;
  /** Aborts when the service ends: whoever waits is answered now. */
  ending: AbortSignal;
  /** Which hosts jobs can be run on. */
  targetHosts: TargetHosts;
}
