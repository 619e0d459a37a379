import type { JobKind, JobSpec } from './spec.js';
import { titleOf } from './title.js';
import type { SubmittedSpec } from './submitted-spec.js';
import { submittedOf } from './submitted.js';
import type { HostStats, Outcome, TargetResult, Tasks } from './outcome.js';
import type { StepInput } from './step-protocol.js';

/** What the API, the workflow and the activities tell each other through Temporal. */

/** The workflow type of a job. */
export const jobWorkflowType = 'job';

/** A worker that dies with a workflow task in hand must not hold up its job for the usual 10 s. */
export const workflowTaskTimeoutMs = 5_000;

/** Workflows and the search for a free node are served from here. */
export const sharedTaskQueue = 'longhaul';

/**
 * Where a run that continues another one after a Reset looks for its place: nodes serve it also without a free slot, because
 * the attempt that it looks for may hold the last one.
 */
export const resumedTaskQueue = 'longhaul-resumed';

/** The queue of one node: attempts are watched and ended where they live. */
export function nodeTaskQueue(node: string): string {
  return `longhaul-node-${node}`;
}

/** The name of the query that tells a job's `JobProgress`. */
export const progressQuery = 'progress';

/** The signals of a job; each is sent a few times in a run at most, whatever its length. */
export const signals = {
  /** From its node: a `Milestone`. */
  milestone: 'milestone',
  /** From the workflow of a node: a `NodeSilence`, at most `toldSilences` times in a run. */
  nodeSilent: 'node_silent',
  /** From the workflow of a node that had been silent: its name. */
  nodeBack: 'node_back',
  /** From the workflow of a node: a `NodeLost`. */
  nodeLost: 'node_lost',
  /** From an operator: an `Abandonment`. */
  abandon: 'abandon',
  /** From a node that has returned: a `LateResult`. */
  late: 'late_result',
  /** From the workflow of its tenant: it may be placed. */
  admitted: 'admitted',
} as const;

/** Something that is worth to be seen in lists and in Temporal's Web UI. */
export interface Milestone {
  attempt: number;
  /** RFC 3339. */
  started_at: string;
  /** RFC 3339: when it had come so far. */
  at?: string;
  percent: number | null;
  message: string | null;
}

/** Of how many silences of its nodes a run is told: its history must stay short where a node comes and goes. */
export const toldSilences = 2;

/** Nothing was heard of a node for NODE_TIMEOUT. */
export interface NodeSilence {
  node: string;
  /** RFC 3339: when it was last heard of. */
  since: string;
  /** What was last heard of the job; null if nothing was. */
  heard: Pick<Milestone, 'percent' | 'message'> | null;
}

/** A node has stayed away for longer than NODE_LOST_AFTER. */
export interface NodeLost {
  node: string;
  /** RFC 3339: when it was last heard of. */
  since: string;
  /** How far the job had come then. */
  tasks?: Tasks | null;
}

/** An operator says that nothing of an attempt is to be waited for any more (R4). */
export interface Abandonment {
  attempt: number;
  reason: string;
  /** What is on this node. */
  node?: string;
  /** These of its hosts. Without them and a node it is all of it. */
  hosts?: string[];
  /** How it stood on its hosts, as far as that was told: those where it has ended may not be there any more. */
  known?: NonNullable<RunHeartbeat['targets']>;
  /** How far it had come when it was last heard of. */
  tasks?: Tasks | null;
}

/** How an attempt ended that had been given up: on record, but no longer the answer. */
export interface LateResult {
  attempt: number;
  outcome: Outcome;
}

/** The argument of the job workflow, and of that of a step. */
export interface JobInput {
  tenant: string;
  playbook_name: string;
  name: string;
  spec: JobSpec;
  /** Of a step: which one it is of the job of this name. */
  step?: StepInput;
  /** How many jobs of the tenant may be placed or running at the same time, over all nodes. Absent: any number. */
  tenant_limit?: number;
  /** A job that ran without Temporal, and is entered when that is back. */
  foreground?: ForegroundRun;
}

/** What is known of a job that ran in the foreground. */
export interface ForegroundRun {
  attempts: AttemptRecord[];
  outcome: Outcome;
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

/** The attempt may have been placed before, and nobody can tell any more where: no other may be started (R1). */
export interface LostPlacement {
  /** Why. */
  lost: string;
}

/** The argument of the activity that finds a node for an attempt. */
export interface PlaceRequest {
  workflow_id: string;
  /** The run that the evidence is kept by: the original one, which a Reset in Temporal continues under another id. */
  run_id: string;
  attempt: number;
  input: JobInput;
}

/** Which attempt an activity is about. */
export interface AttemptRef extends Placement {
  workflow_id: string;
  /** As in `PlaceRequest`. */
  run_id: string;
  /** Seconds from the start; null: none. */
  timeout: number | null;
}

/** Heartbeat details of `run`: the evidence that a job runs, readable by describe() with no worker up. */
export interface RunHeartbeat {
  /** RFC 3339; null while it has not started. */
  started_at: string | null;
  tasks_done: number;
  tasks_total?: number | null;
  /** What it does now, or what is unusual about it. */
  message: string | null;
  /** Whether the message says what is unusual about it. */
  unusual?: boolean;
  play?: string | null;
  /** From 0 to 99; null or absent while unknown. */
  percent?: number | null;
  /** RFC 3339: when it will likely have ended; null or absent while unknown. */
  eta?: string | null;
  /** As many as fit into 2 kB, those in trouble first; counters that are not 0. */
  hosts?: Record<string, Partial<HostStats>>;
  /** The same of work on target hosts; what is null is left out. In short also of many others, if it has ended there. */
  targets?: Record<string, Partial<TargetResult>>;
  /** RFC 3339: since when hosts can't be reached; of so many as have room. */
  unreachable?: Record<string, string> | undefined;
  /** RFC 3339: since when hosts answer and can't see how it stands there; of so many as have room. */
  unclear?: Record<string, string> | undefined;
  /** Hosts on which nothing of a canceled attempt is left; of so many as have room. */
  ended?: string[] | undefined;
  /** Up to which of the times at which milestones are told the workflow has been told one. */
  told?: number | null;
}

/** One finished attempt, as the document shows it. */
export interface AttemptRecord {
  attempt: number;
  /** Null for one on target hosts that any node could watch. */
  node: string | null;
  outcome: Outcome;
  /** What its node reported after it had been given up. */
  late?: Outcome;
}

/**
 * The workflow's memo. `placement` is there from the workflow task that schedules `run` until the attempt's outcome is
 * known; `outcome` is written in the run's last workflow task, so that one describe() answers in every state.
 */
export interface JobMemo {
  tenant: string;
  playbook_name: string;
  name: string;
  kind?: JobKind;
  /** What it runs, in one line. */
  title?: string;
  playbook?: string;
  workspace: string;
  metadata: Record<string, unknown>;
  ttl: number;
  /** What was submitted; absent in runs that earlier versions began. */
  spec?: SubmittedSpec;
  /** Of a job that ran in the foreground: when it was accepted, RFC 3339, and the run id that its evidence is kept by. */
  foreground?: { created_at: string; run_id: string; reason: string };
  /** While it waits for other jobs of its tenant to end: how many may be placed or running. */
  tenant_limit?: number | null;
  /** A `node` of null: any node can reach it. */
  placement?: { node: string | null; attempt: number } | null;
  /** RFC 3339; when the current attempt was started, once its node has told (see `Milestone`). */
  started_at?: string | null;
  /**
   * Of an attempt on hosts that could not all be reached or started at once: those that have ended while others go on or are waited for, as
   * many as a heartbeat has.
   */
  hosts_ended?: { count: number; targets: NonNullable<RunHeartbeat['targets']> } | null;
  /** How many silences of its nodes it was told of. */
  silences?: number;
  retry_at?: string | null;
  attempts?: AttemptRecord[];
  outcome?: Outcome;
}

/** The memo that a run has from its start. */
export function memoAtStart({
  tenant,
  playbook_name,
  name,
  spec,
}: Pick<JobInput, 'tenant' | 'playbook_name' | 'name' | 'spec'>): JobMemo {
  return {
    tenant,
    playbook_name,
    name,
    kind: spec.kind,
    title: titleOf(spec),
    ...(spec.kind === 'playbook' && { playbook: spec.playbook }),
    workspace: spec.workspace,
    metadata: spec.metadata,
    ttl: spec.ttl,
    spec: submittedOf(spec),
  };
}

/** The answer of the progress query. */
export interface JobProgress {
  stage: 'admission' | 'placing' | 'running' | 'waiting' | 'ending' | 'ended';
  placement: { node: string | null; attempt: number } | null;
  attempts: AttemptRecord[];
}
