import type { JobSpec } from './spec.js';
import type { Outcome } from './outcome.js';

/** What the API, the workflow and the activities tell each other through Temporal. */

/** The workflow type of a job. */
export const jobWorkflowType = 'job';

/** Workflows and the search for a free node are served from here. */
export const sharedTaskQueue = 'longhaul';

/** The queue of one node: attempts are watched and ended where they live. */
export function nodeTaskQueue(node: string): string {
  return `longhaul-node-${node}`;
}

/** The name of the query that tells a job's `JobProgress`. */
export const progressQuery = 'progress';

/** The argument of the job workflow. */
export interface JobInput {
  tenant: string;
  playbook_name: string;
  name: string;
  spec: JobSpec;
}

/** Where an attempt lives: in history before anything of it is started (R1). */
export interface Placement {
  node: string;
  attempt: number;
  token: string;
  /** The node's boot id when the attempt was placed. */
  boot: string;
  /** How the node wants its activities to be watched and repeated, in milliseconds. */
  heartbeat_timeout_ms: number;
  retry_interval_ms: number;
}

/** The argument of the activity that finds a node for an attempt. */
export interface PlaceRequest {
  workflow_id: string;
  run_id: string;
  attempt: number;
  input: JobInput;
}

/** Which attempt an activity is about. */
export interface AttemptRef extends Placement {
  workflow_id: string;
  run_id: string;
  /** Seconds from the start; null: none. */
  timeout: number | null;
}

/** Heartbeat details of `run`: the evidence that a job runs, readable by describe() with no worker up. */
export interface RunHeartbeat {
  /** RFC 3339; null while it has not started. */
  started_at: string | null;
  tasks_done: number;
  /** What it does now, or what is unusual about it. */
  message: string | null;
}

/** One finished attempt, as the document shows it. */
export interface AttemptRecord {
  attempt: number;
  node: string;
  outcome: Outcome;
}

/**
 * The workflow's memo. `placement` is there from the workflow task that schedules `run` until the attempt's outcome is
 * known; `outcome` is written in the run's last workflow task, so that one describe() answers in every state.
 */
export interface JobMemo {
  tenant: string;
  playbook_name: string;
  name: string;
  playbook: string;
  workspace: string;
  metadata: Record<string, unknown>;
  ttl: number;
  placement?: { node: string; attempt: number } | null;
  retry_at?: string | null;
  attempts?: AttemptRecord[];
  outcome?: Outcome;
}

/** The answer of the progress query. */
export interface JobProgress {
  stage: 'placing' | 'running' | 'waiting' | 'ending' | 'ended';
  placement: { node: string; attempt: number } | null;
  attempts: AttemptRecord[];
}
