import {
  ApplicationFailure,
  CancelledFailure,
  CancellationScope,
  defineQuery,
  proxyActivities,
  setHandler,
  sleep,
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow';
import type { NodeActivities, PlacementActivities } from '../activities/index.js';
import type { Outcome } from '../job/outcome.js';
import {
  nodeTaskQueue,
  progressQuery,
  type AttemptRecord,
  type AttemptRef,
  type JobInput,
  type JobProgress,
} from '../job/protocol.js';
import { backoffBeforeNext } from '../job/retry.js';

/** Silence is not death (R4): an activity is repeated until it answers, however long its node stays away. */
const untilAnswered = { startToCloseTimeout: '3650 days', retry: { backoffCoefficient: 1 } } as const;

/**
 * One run of a job: place an attempt, run it, and again if its policy says so; then close as the job ended.
 * Its history has the same size however long the job runs.
 */
export async function job(input: JobInput): Promise<Outcome> {
  const progress: JobProgress = { stage: 'placing', placement: null, attempts: [] };
  setHandler(defineQuery<JobProgress>(progressQuery), () => progress);
  const outcome = await runToTheEnd(input, progress);
  progress.stage = 'ended';
  upsertMemo({ placement: progress.placement, retry_at: null, attempts: progress.attempts, outcome });
  return close(outcome);
}

/** The run closes in Temporal as the job ended. */
function close(outcome: Outcome): Outcome {
  switch (outcome.status) {
    case 'successful':
      return outcome;
    case 'failed':
      throw ApplicationFailure.nonRetryable(outcome.failure.message, outcome.failure.kind);
    case 'canceled':
      throw new CancelledFailure(outcome.reason);
  }
}

/**
 * The root only listens for a cancel. All activities are out of its reach, because Temporal would answer "canceled" for
 * one that is between attempts while its process runs on (R5).
 */
async function runToTheEnd(input: JobInput, progress: JobProgress): Promise<Outcome> {
  const canceled: Promise<'canceled'> = CancellationScope.current().cancelRequested.catch(() => 'canceled' as const);
  return CancellationScope.nonCancellable(async () => {
    for (let number = 1; ; number++) {
      const outcome = await attempt(input, number, progress, canceled);
      if (outcome.status !== 'failed') return outcome;
      const backoff = backoffBeforeNext(input.spec.retry, number, outcome.failure.kind);
      if (backoff === undefined) return outcome;
      progress.stage = 'waiting';
      upsertMemo({
        placement: null,
        retry_at: new Date(Date.now() + backoff).toISOString(),
        attempts: progress.attempts,
      });
      if ((await Promise.race([sleep(Math.max(1, backoff)), canceled])) === 'canceled') return canceledAfter(outcome);
    }
  });
}

async function attempt(
  input: JobInput,
  number: number,
  progress: JobProgress,
  canceled: Promise<'canceled'>,
): Promise<Outcome> {
  const { workflowId, runId } = workflowInfo();
  progress.stage = 'placing';
  // Placing takes milliseconds: where no answer comes, its worker has died, and another may try.
  const { place } = proxyActivities<PlacementActivities>({ ...untilAnswered, startToCloseTimeout: '10s' });
  const placed = await Promise.race([
    place({ workflow_id: workflowId, run_id: runId, attempt: number, input }),
    canceled,
  ]);
  // Nothing was scheduled that could start it; a reservation that was made is dropped by its node's sweep.
  if (placed === 'canceled') return neverStarted();

  const ref: AttemptRef = { ...placed, workflow_id: workflowId, run_id: runId, timeout: input.spec.timeout ?? null };
  const node = proxyActivities<NodeActivities>({
    ...untilAnswered,
    taskQueue: nodeTaskQueue(placed.node),
    heartbeatTimeout: placed.heartbeat_timeout_ms,
    retry: { ...untilAnswered.retry, initialInterval: placed.retry_interval_ms },
  });
  progress.placement = { node: placed.node, attempt: number };
  progress.stage = 'running';
  upsertMemo({ placement: progress.placement, retry_at: null });
  const running = node.run(ref);
  if ((await Promise.race([running, canceled])) === 'canceled') {
    progress.stage = 'ending';
    await node.end(ref);
  }
  const outcome = await running;
  // The statistics of earlier attempts stay in their folders: the memo must stay small.
  const record: AttemptRecord = { attempt: number, node: placed.node, outcome: { ...outcome, stats: {} } };
  progress.attempts = [...progress.attempts, record];
  return outcome;
}

/** Canceled between two attempts: the times are those of the last one. */
function canceledAfter({ rc, stats, started_at, leftovers }: Outcome): Outcome {
  const finished_at = new Date().toISOString();
  return {
    status: 'canceled',
    reason: 'before its next attempt',
    rc,
    stats,
    started_at,
    finished_at,
    leftovers,
  };
}

function neverStarted(): Outcome {
  const at = new Date().toISOString();
  return {
    status: 'canceled',
    reason: 'before it started',
    rc: null,
    stats: {},
    started_at: null,
    finished_at: at,
    leftovers: [],
  };
}
