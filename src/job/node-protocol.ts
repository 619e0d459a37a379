/** What a node, and the workflow that stands for it in Temporal, tell each other. */

/** The workflow type of a node: one open run for each node that is known. */
export const nodeWorkflowType = 'node';

/** The update by which a worker asks to serve as its node; answered by an `AttendAnswer`. */
export const attendUpdate = 'attend';

/** The Temporal workflow ID of a node. A job's has three parts. */
export function nodeWorkflowId(node: string): string {
  return `node/${node}`;
}

/** The argument of the node workflow. */
export interface NodeInput {
  node: string;
  /** Who served it when its history was cut. */
  attendance?: Attendance;
  /** The jobs that had been told of its silence then, and not of its return. */
  told?: ToldJob[];
}

/** A worker that serves, or wants to serve, as a node. */
export interface Attendance {
  node: string;
  /** A hash of machine and data folder: its worker is the only one there, by a kernel lock (R8). */
  binding: string;
  /** Which start of the worker it is. */
  incarnation: string;
  host: string;
  data_dir: string;
  /** How many attempts it runs at the same time. */
  slots?: number;
  /** Silence after which the node counts as away, in milliseconds. */
  timeout_ms: number;
  /** How long it must be away before jobs that asked for it are given up, in milliseconds. */
  lost_after_ms: number;
}

export type AttendAnswer = { accepted: true } | { accepted: false; by: Attendance };

/** Memo of the node workflow. */
export interface NodeMemo {
  /** Who serves it, or did so last. */
  attendance?: Attendance;
  /** How it was when it was last heard of, from when it fell silent. */
  last?: NodeState;
}

/** Heartbeat details of `attend`: the state of a node, readable by describe(). */
export interface NodeState {
  /** RFC 3339. */
  at: string;
  slots: number;
  taken: number;
  /** At most 100 of the attempts that hold a slot. */
  attempts: { workflow_id: string; run_id: string; attempt: number }[];
  /** The attempts on target hosts that have not ended as far as it knows, each as `attemptOnHosts`; null if they are too many. */
  on_hosts?: string[] | null;
  /** Its worker has ended by itself: it takes up nothing any more. */
  final?: boolean;
}

/** An attempt on target hosts, in a word. */
export function attemptOnHosts(runId: string, attempt: number): string {
  return `${runId}.${attempt}`;
}

/** A run of a job that was told that its node is silent. */
export interface ToldJob {
  workflow_id: string;
  run_id: string;
}

/** A node whose silence has lasted. */
export interface AwayNode {
  node: string;
  /** RFC 3339: when it was last heard of. */
  since: string;
}
