import {
  ApplicationFailure,
  CancelledFailure,
  CancellationScope,
  defineQuery,
  defineSignal,
  proxyActivities,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { NodeActivities, PlacementActivities } from '../activities/index.js';
import type { Outcome } from '../job/outcome.js';
import {
  nodeTaskQueue,
  progressQuery,
  resumedTaskQueue,
  signals,
  type AttemptRef,
  type JobInput,
  type JobProgress,
  type LateResult,
  type LostPlacement,
  type Milestone,
  type NodeSilence,
  type Placement,
} from '../job/protocol.js';
import type { PlaybookSpec } from '../job/kinds/playbook.js';
import { backoffBeforeNext } from '../job/backoff.js';
import type { JobSpec } from '../job/spec.js';
import { endOf, withDeclaredOutputs } from '../job/step-outcome.js';
import type { StepEnd } from '../job/step-protocol.js';
import { Admission } from './admission.js';
import { Board } from './board.js';
import { Interruptions, type GivenUp } from './interruptions.js';
import { canceledAfter, neverStarted, now, untilAnswered } from './outcomes.js';
import { isResumed } from './resumed.js';
import { startedBefore, wasStartedBefore } from './started-before.js';
import { runSteps } from './steps.js';
import { runOnTargets } from './targets.js';
import { tellJob } from './tell-job.js';
import { asksWhyCanceled, hasSearchAttributes } from './version.js';
import { whyCanceled } from './why-canceled.js';

/** What is done in one place, not by others that it waits for. */
type WorkSpec = Exclude<JobSpec, { kind: 'steps' }>;

/**
 * One run of a job: place an attempt, run it, and again if its policy says so; then close as the job ended.
 * Its history has the same size however long the job runs.
 */
export async function job(given: JobInput): Promise<Outcome> {
  const input = withKind(given);
  const { spec } = input;
  return close(spec.kind === 'steps' ? await runSteps(input, spec) : (await runWork(input, spec)).outcome);
}

/** A step of a job: the same work, which is told to the job that waits for it. */
export async function step(input: JobInput): Promise<StepEnd> {
  const { spec, step: asked } = input;
  if (spec.kind === 'steps' || asked === undefined) throw ApplicationFailure.nonRetryable('a step has no steps');
  // What is known to have ended without this run is only put on record.
  const known = (await wasStartedBefore(asked)) ? { foreground: { attempts: [], outcome: startedBefore() } } : {};
  const { outcome, attempt } = await runWork({ ...input, ...known }, spec);
  return endOf(asked.outputs, close(outcome), attempt);
}

async function runWork(input: JobInput, spec: WorkSpec): Promise<{ outcome: Outcome; attempt: number | null }> {
  const board = new Board(input);
  setHandler(defineQuery<JobProgress>(progressQuery), () => board.progress);
  setHandler(defineSignal<[Milestone]>(signals.milestone), (milestone) => {
    if (board.reached(milestone) && input.step !== undefined) tellJob(input, input.step, milestone.started_at);
  });
  setHandler(defineSignal<[NodeSilence]>(signals.nodeSilent), (silence) => board.nodeIsSilent(silence));
  setHandler(defineSignal<[string]>(signals.nodeBack), (node) => board.nodeIsBack(node));
  setHandler(defineSignal<[LateResult]>(signals.late), ({ attempt, outcome }) => board.reportedLate(attempt, outcome));
  const outcome =
    input.foreground === undefined ? await runAdmitted(input, spec, board) : entered(input.foreground, board);
  board.ended(outcome);
  return { outcome, attempt: board.progress.attempts.at(-1)?.attempt ?? null };
}

/** Runs that were begun when there were only playbooks don't say their kind. */
function withKind(input: JobInput): JobInput {
  return 'kind' in input.spec ? input : { ...input, spec: { ...(input.spec as PlaybookSpec), kind: 'playbook' } };
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

/** A job that has run without Temporal. */
function entered({ attempts, outcome }: NonNullable<JobInput['foreground']>, board: Board): Outcome {
  for (const record of attempts) board.attemptEnded(record);
  return outcome;
}

/**
 * The root only listens for a cancel. All activities are out of its reach, because Temporal would answer "canceled" for
 * one that is between attempts while its process runs on (R5).
 */
async function runAdmitted(input: JobInput, spec: WorkSpec, board: Board): Promise<Outcome> {
  const interruptions = new Interruptions('on_node_lost' in spec ? spec.on_node_lost : 'wait');
  return CancellationScope.nonCancellable(async () => {
    const admission = new Admission(input);
    const admitted = await admission.obtain(board, interruptions.canceled);
    const outcome = admitted ? await runToTheEnd(input, spec, board, interruptions) : neverStarted();
    await admission.release();
    return withReason(outcome, board);
  });
}

/** Why it was canceled is told by the node that has ended it; where none had to, by the history alone. */
async function withReason(outcome: Outcome, board: Board): Promise<Outcome> {
  const isTold = board.progress.attempts.at(-1)?.outcome.status === 'canceled';
  if (outcome.status !== 'canceled' || isTold || !asksWhyCanceled()) return outcome;
  return { ...outcome, reason: await whyCanceled() };
}

async function runToTheEnd(
  input: JobInput,
  spec: WorkSpec,
  board: Board,
  interruptions: Interruptions,
): Promise<Outcome> {
  if (spec.kind === 'task' || spec.kind === 'adopt') return runOnTargets(input, spec, board, interruptions);
  for (let number = 1; ; number++) {
    const { outcome, further } = await attempt(input, spec, number, board, interruptions);
    if (outcome.status !== 'failed' || further === 'never') return outcome;
    const rerun = further === 'always';
    const backoff = rerun ? 0 : backoffBeforeNext(spec.retry, number, outcome.failure.kind);
    // After a cancel nothing more is started; that what was given up is gone, nobody has seen.
    if (backoff === undefined || (rerun && interruptions.isCanceled)) return outcome;
    board.retryAt(new Date(Date.now() + backoff).toISOString());
    const next = rerun ? undefined : await Promise.race([sleep(Math.max(1, backoff)), interruptions.canceled]);
    // After a Reset the next attempt may run already.
    if (next === 'canceled' && !isResumed()) return canceledAfter(outcome);
  }
}

interface Ended {
  outcome: Outcome;
  /** Whether another attempt is to follow: `always` and `never` whatever the retry policy says. */
  further: 'by_policy' | 'always' | 'never';
}

async function attempt(
  input: JobInput,
  spec: PlaybookSpec,
  number: number,
  board: Board,
  interruptions: Interruptions,
): Promise<Ended> {
  const placed = await findPlace(input, number, board, interruptions.canceled);
  // Nothing was scheduled that could start it; a reservation that was made is dropped by its node's sweep.
  if (placed === 'canceled') return { outcome: neverStarted(), further: 'never' };
  if ('lost' in placed) return { outcome: failed('lost', placed.lost), further: 'never' };
  const { outcome, further } = await watch(spec, placed, board, interruptions);
  const ended = { outcome: withDeclaredOutputs(input.step?.outputs ?? [], outcome), further };
  board.attemptEnded({ attempt: number, node: placed.node, outcome: ended.outcome });
  return ended;
}

async function findPlace(
  input: JobInput,
  number: number,
  board: Board,
  canceled: Promise<'canceled'>,
): Promise<Placement | LostPlacement | 'canceled'> {
  const { workflowId, originalExecutionRunId } = workflowInfo();
  board.placing();
  // Placing takes milliseconds: where no answer comes, its worker has died, and another may try.
  const { place } = proxyActivities<PlacementActivities>({
    ...untilAnswered,
    startToCloseTimeout: '10s',
    // No other command than the original run's: this is replayed against what was copied from its history.
    ...(isResumed() && { taskQueue: resumedTaskQueue }),
    summary: `Find a node with a free slot (attempt ${number})`,
  });
  const placing = place({ workflow_id: workflowId, run_id: originalExecutionRunId, attempt: number, input });
  return isResumed() ? placing : Promise.race([placing, canceled]);
}

/** Has the attempt run, or ended if the job is canceled; or gives it up. */
async function watch(
  spec: PlaybookSpec,
  placed: Placement,
  board: Board,
  interruptions: Interruptions,
): Promise<Ended> {
  const { workflowId, originalExecutionRunId } = workflowInfo();
  const ref: AttemptRef = {
    ...placed,
    workflow_id: workflowId,
    run_id: originalExecutionRunId,
    timeout: spec.timeout ?? null,
  };
  const onNode = (summary: string): NodeActivities =>
    proxyActivities<NodeActivities>({
      ...untilAnswered,
      taskQueue: nodeTaskQueue(placed.node),
      heartbeatTimeout: placed.heartbeat_timeout_ms,
      retry: { ...untilAnswered.retry, initialInterval: placed.retry_interval_ms },
      summary,
    });
  board.placed(placed.node, placed.attempt);
  const givenUp = interruptions.givenUp(placed);
  // A scope of its own, so that what is given up is not asked for any more; out of reach of a cancel of the run.
  const scope = hasSearchAttributes() ? new CancellationScope() : CancellationScope.current();
  const running = scope.run(() => onNode(`Run ${spec.playbook} on node ${placed.node}`).run(ref));
  let ended = await Promise.race([running, interruptions.canceled, givenUp]);
  if (ended === 'canceled') {
    board.canceling();
    const gone = scope.run(() => onNode(`End it on node ${placed.node}`).end(ref));
    ended = await Promise.race([gone.then(() => running), givenUp]);
    gone.catch(() => undefined);
  }
  if (!('givenUp' in ended)) return { outcome: ended, further: 'by_policy' };
  running.catch(() => undefined);
  scope.cancel();
  const outcome = failed('node_lost', ended.givenUp, { started_at: board.startedAt, tasks: ended.tasks });
  return { outcome, further: ended.rerun ? 'always' : 'by_policy' };
}

/** How far an attempt had come that nobody can ask any more. */
type Reached = Pick<GivenUp, 'tasks'> & { started_at?: string | null };

function failed(kind: 'lost' | 'node_lost', message: string, { started_at = null, tasks }: Reached = {}): Outcome {
  const ended = { rc: null, stats: {}, ...(tasks != null && { tasks }), started_at, finished_at: now(), leftovers: [] };
  return { status: 'failed', failure: { kind, message }, ...ended };
}
