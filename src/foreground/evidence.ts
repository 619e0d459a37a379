import type { PendingActivity, RunEvidence } from '../job/evidence.js';
import type { Outcome } from '../job/outcome.js';
import { memoAtStart, type JobMemo } from '../job/protocol.js';
import { jobOf, type ForegroundRecord, type Order, type Progress } from './records.js';

/** What the record of a job leaves open: what is seen of its attempt. */
export interface Seen {
  tasksDone: number;
  /** Why it can't be watched or ended now; null if it can. */
  trouble: string | null;
}

/** What is kept with the job when Temporal has it: when it was accepted, its run, and why it ran without. */
export function foregroundMemo({ created_at, name, reason }: Order): NonNullable<JobMemo['foreground']> {
  return { created_at, run_id: name, reason };
}

/** A record in the form of what Temporal would tell of such a run, so that its document is made as any other's. */
export function evidenceOf({ order, cancel }: ForegroundRecord, progress: Progress, seen: Seen): RunEvidence {
  const { placement, attempts, retry_at, outcome } = progress;
  const { name, node, created_at } = order;
  const isOpen = outcome === null;
  return {
    job: jobOf(order),
    runId: name,
    evidenceRunId: name,
    createdAt: created_at,
    closed: isOpen ? null : { as: closedAs(outcome), at: outcome.finished_at, reason: null, continuedBy: null },
    cancelRequested: isOpen && cancel !== null,
    memo: {
      ...memoAtStart(order),
      foreground: foregroundMemo(order),
      placement: placement === null ? null : { node, attempt: placement.attempt },
      retry_at,
      attempts,
      ...(outcome !== null && { outcome }),
    },
    activities: isOpen && placement !== null ? activities(cancel !== null, seen) : [],
    failingTask: null,
  };
}

/** What a worker would be doing: watching it, and ending it if that was asked for. */
function activities(isCanceled: boolean, { tasksDone, trouble }: Seen): PendingActivity[] {
  const activity = { taken: true, heardAt: null, lastFailure: trouble };
  const heartbeat = { started_at: null, tasks_done: tasksDone, message: trouble };
  const watching = { ...activity, type: 'run', heartbeat };
  return isCanceled ? [watching, { ...activity, type: 'end', heartbeat: null }] : [watching];
}

function closedAs({ status }: Outcome): 'completed' | 'failed' | 'canceled' {
  return status === 'successful' ? 'completed' : status;
}
