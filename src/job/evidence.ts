import type { JobName } from './names.js';
import type { Outcome } from './outcome.js';
import type { JobMemo, RunHeartbeat } from './protocol.js';

/** What is known of a run from Temporal's one answer about it. Times are RFC 3339. */
export interface RunEvidence {
  job: JobName;
  runId: string;
  /** The run id that the attempts' evidence is kept by: the first run's where this one continues that after a Reset. */
  evidenceRunId: string;
  createdAt: string;
  /** Null while the run is open. */
  closed: RunClose | null;
  cancelRequested: boolean;
  /** As found: a run that is not ours, or of another version, may lack anything. */
  memo: Partial<JobMemo>;
  activities: PendingActivity[];
  /** Why its workflow tasks fail; null while they don't. */
  failingTask: string | null;
}

/** Whether a run is in the foreground, and not in Temporal yet. */
export function isForeground({ runId, memo }: RunEvidence): boolean {
  return memo.foreground?.run_id === runId;
}

/** How a run was closed in Temporal. */
export interface RunClose {
  as: 'completed' | 'failed' | 'canceled' | 'terminated' | 'timed_out' | 'other';
  at: string;
  /** Given by whoever terminated it. */
  reason: string | null;
  /** The run that goes on with it after a Reset in Temporal. */
  continuedBy: string | null;
}

/** An activity that has not answered yet. */
export interface PendingActivity {
  type: string;
  /** Whether a worker works on it now, as far as Temporal knows. */
  taken: boolean;
  lastFailure: string | null;
  /** When it was last heard of, RFC 3339; null before. */
  heardAt: string | null;
  heartbeat: RunHeartbeat | null;
}

/** The slots of the nodes that are live. */
export interface Fleet {
  nodes: number;
  slots: number;
  taken: number;
}

/** What an attempt's folder shows on the machine that asks; or, without it, what its node has told. */
export interface AttemptEvidence {
  /** RFC 3339; null while it has not started. */
  startedAt: string | null;
  /** How it ended, once its node has put that on record. */
  outcome: Outcome | null;
  /** Its claim is void, or its folder is gone and nothing holds its slot: it does not run and never will. */
  over: boolean;
}
