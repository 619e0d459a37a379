import type { TargetResult } from './outcome.js';
import type { JobInput, RunHeartbeat } from './protocol.js';
import type { AdoptSpec } from './kinds/adopt.js';
import type { TaskSpec } from './kinds/task.js';

/** What workflow and activities tell each other of work that lives on target hosts. */

/** Where tasks are prepared, watched and ended that any node can reach. */
export const targetsTaskQueue = 'longhaul-targets';

/** The signal by which a cancel of an adopted job is told to kill it. */
export const killSignal = 'kill';

/** Specs of jobs that live on target hosts. */
export type TargetSpec = TaskSpec | AdoptSpec;

/** Where an attempt lives on a host: in history before anything of it is started (R1). */
export type TargetPlace = {
  /** Whether Ansible's connection to the host is `local`: it is the node itself. */
  local: boolean;
  /** Whether Ansible becomes another user there by itself: by its variables, or ansible.cfg. */
  becomes?: boolean | undefined;
} & (
  | { dir: string; token: string; machine?: string | null | undefined }
  | { adopted: { job_id: string; async_dir: string | null } }
);

/** The argument of the activity that prepares an attempt on hosts. */
export interface PrepareRequest {
  workflow_id: string;
  /** The run that the evidence is kept by (see `PlaceRequest`). */
  run_id: string;
  attempt: number;
  input: JobInput;
  /** Null: all that the pattern matches. */
  hosts: string[] | null;
  /** RFC 3339: since when these hosts are tried. Null: now; then those that can't be reached are left to another call. */
  since: string | null;
  /** Only what a former run had prepared counts, because the job is canceled. */
  only_former?: boolean;
}

/** Hosts on which an attempt is prepared. */
export interface TargetsPlacement {
  /** The node that alone reaches them, because a connection is `local`. Null: any node. */
  node: string | null;
  attempt: number;
  places: Record<string, TargetPlace>;
  /** Those on which it can't be started any more. */
  ended: Record<string, TargetResult>;
  /** Those that could not be reached so far. */
  unreached: string[];
  /** It was asked for because the job is canceled: nothing of it is to be started any more. */
  only_former?: boolean;
  heartbeat_timeout_ms: number;
  retry_interval_ms: number;
}

/** What the activities that run and end an attempt on hosts are about. */
export interface TargetsRef {
  workflow_id: string;
  run_id: string;
  attempt: number;
  spec: TargetSpec;
  places: Record<string, TargetPlace>;
  /** What it prints is to be told at the end. */
  hands_on?: boolean;
  /** Nothing of it is to be started any more. */
  only_former?: boolean;
  /** RFC 3339: when it was asked for first, with hosts that are given up now. */
  since?: string;
  /** How it stood on these hosts, as far as that was told then. */
  known?: NonNullable<RunHeartbeat['targets']>;
  /** Where it was given up: what may live there is to be ended as soon as that can be reached. */
  left_behind?: Record<string, TargetPlace>;
}
