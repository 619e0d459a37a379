import {
  CancellationScope,
  defineSignal,
  proxyActivities,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { TargetActivities } from '../activities/index.js';
import type { Outcome, TargetResult } from '../job/outcome.js';
import { nodeTaskQueue, type JobInput } from '../job/protocol.js';
import { backoffBeforeNext } from '../job/backoff.js';
import { endedByCancel, hostsToRetry, outcomeOfTargets } from '../job/target-outcome.js';
import {
  killSignal,
  targetsTaskQueue,
  type TargetsPlacement,
  type TargetSpec,
  type TargetsRef,
} from '../job/target-protocol.js';
import { titleOf } from '../job/title.js';
import type { Board } from './board.js';
import type { GivenUp, Interruptions } from './interruptions.js';
import { canceledAfter, neverStarted, now, untilAnswered } from './outcomes.js';

type Results = Record<string, TargetResult>;

/**
 * Work that lives on target hosts: prepared there, then started by consuming what was prepared, and watched from whichever node.
 * Hosts that can't be reached hold up nobody else: they follow as soon as they answer.
 */
export async function runOnTargets(
  input: JobInput,
  spec: TargetSpec,
  board: Board,
  interruptions: Interruptions,
): Promise<Outcome> {
  const job = new TargetsJob(input, spec, board, interruptions);
  return job.run();
}

class TargetsJob {
  private attempt = 1;
  private isToBeKilled = false;
  /** Its node is lost, and the job said that another is to run it then. */
  private isToBeRerun = false;

  constructor(
    private readonly input: JobInput,
    private readonly spec: TargetSpec,
    private readonly board: Board,
    private readonly interruptions: Interruptions,
  ) {
    setHandler(defineSignal(killSignal), () => {
      this.isToBeKilled = true;
    });
  }

  async run(): Promise<Outcome> {
    const results: Results = {};
    let hosts: string[] | null = null;
    for (; ; this.attempt++) {
      const { node, ended } = await this.runAttempt(hosts);
      Object.assign(results, ended);
      const outcome = Object.keys(results).length === 0 ? neverStarted() : outcomeOfTargets(results, now());
      this.board.attemptEnded({ attempt: this.attempt, node, outcome });
      if (outcome.status !== 'failed' || this.interruptions.isCanceled) return outcome;
      hosts = hostsToRetry(results, this.isToBeRerun ? ['node_lost'] : this.spec.retry.on);
      const backoff = this.isToBeRerun ? 0 : backoffBeforeNext(this.spec.retry, this.attempt, outcome.failure.kind);
      if (backoff === undefined || hosts.length === 0) return outcome;
      this.board.retryAt(new Date(Date.now() + backoff).toISOString());
      const next = await Promise.race([sleep(Math.max(1, backoff)), this.interruptions.canceled]);
      if (next === 'canceled') return canceledAfter(outcome);
      // It could not be told which hosts its pattern means; what was said of it is said of none of them.
      const pattern = this.spec.kind === 'task' ? this.spec.hosts : this.spec.adopt.host;
      if (hosts.length === 1 && hosts[0] === pattern && Object.keys(results).length === 1) {
        Reflect.deleteProperty(results, pattern);
        hosts = null;
      }
    }
  }

  /** One attempt on these hosts, in as many parts as it takes until all could be reached. */
  private async runAttempt(hosts: string[] | null): Promise<{ node: string | null; ended: Results }> {
    this.isToBeRerun = false;
    const ended: Results = {};
    const parts: Promise<Results>[] = [];
    let node: string | null = null;
    let since: string | null = null;
    let open = 1;
    const partEnded = (results: Results): Results => {
      open -= 1;
      if (open > 0) this.board.endedOn(results);
      return results;
    };
    for (;;) {
      const placed = await this.prepare(hosts, since);
      if (placed === 'canceled') {
        for (const host of since === null ? [] : (hosts ?? [])) ended[host] = canceledBefore();
        break;
      }
      Object.assign(ended, placed.ended);
      const isPlaced = Object.keys(placed.places).length > 0;
      const goesOn = isPlaced || placed.unreached.length > 0 || open > 1;
      if (goesOn && Object.keys(placed.ended).length > 0) this.board.endedOn(placed.ended);
      if (isPlaced) {
        node = placed.node;
        this.board.placed(placed.node, this.attempt);
        open += 1;
        parts.push(this.watch(placed).then(partEnded));
      }
      if (placed.unreached.length === 0) break;
      hosts = placed.unreached;
      since ??= now();
    }
    open -= 1;
    return { node, ended: Object.assign(ended, ...(await Promise.all(parts))) as Results };
  }

  /** Nothing that can be started follows from it once the job is canceled: what was prepared goes by itself. */
  private async prepare(hosts: string[] | null, since: string | null): Promise<TargetsPlacement | 'canceled'> {
    const { workflowId, originalExecutionRunId } = workflowInfo();
    if (since === null) this.board.placing();
    const { prepareTargets } = proxyActivities<TargetActivities>({
      ...untilAnswered,
      taskQueue: targetsTaskQueue,
      heartbeatTimeout: '60s',
      summary: since === null ? 'Prepare its hosts' : 'Wait for hosts that can not be reached',
    });
    const { attempt, input } = this;
    const request = { workflow_id: workflowId, run_id: originalExecutionRunId, attempt, input, hosts, since };
    let asked = cancellable(() => prepareTargets(request));
    for (;;) {
      const givenUp = this.interruptions.givenUp({ node: null, attempt });
      const came = await Promise.race([asked.answer, this.interruptions.canceled, givenUp]);
      if (came === 'canceled' || !isGivenUp(came)) return came;
      if (came.unreachableOnly !== true) continue;
      asked.cancel();
      asked = cancellable(() => prepareTargets({ ...request, given_up: came.givenUp }));
    }
  }

  private async watch(placed: TargetsPlacement): Promise<Results> {
    const { workflowId, originalExecutionRunId } = workflowInfo();
    const { attempt, spec } = this;
    const { places } = placed;
    let ref: TargetsRef = { workflow_id: workflowId, run_id: originalExecutionRunId, attempt, spec, places };
    for (;;) {
      const ended = await this.watchUntilGivenUp(placed, ref);
      if (!isGivenUp(ended)) return ended;
      if (ended.unreachableOnly !== true) return this.notWatched(placed, ended);
      // Whoever watches the others says which these are: those that don't answer the next look.
      ref = { ...ref, given_up: ended.givenUp };
    }
  }

  private async watchUntilGivenUp(placed: TargetsPlacement, ref: TargetsRef): Promise<Results | GivenUp> {
    const { spec } = this;
    const { node, attempt, places } = placed;
    const at = (summary: string): TargetActivities =>
      proxyActivities<TargetActivities>({
        ...untilAnswered,
        taskQueue: node === null ? targetsTaskQueue : nodeTaskQueue(node),
        heartbeatTimeout: placed.heartbeat_timeout_ms,
        retry: { ...untilAnswered.retry, initialInterval: placed.retry_interval_ms },
        summary,
      });
    const givenUp = this.interruptions.givenUp({ node, attempt });
    const running = cancellable(() => at(`Run ${titleOf(spec)} on ${hostsInWords(places)}`).runTargets(ref));
    let ending: Pick<Asked<void>, 'cancel'> = nothingAsked;
    let ended = await Promise.race([running.answer, this.interruptions.canceled, givenUp]);
    if (ended === 'canceled') {
      this.board.canceling();
      if (spec.kind === 'adopt' && !this.isToBeKilled)
        ended = { givenUp: 'no longer watched; it was left as it is', rerun: false };
      else {
        const gone = cancellable(() => at(`End it on ${hostsInWords(places)}`).endTargets(ref));
        ending = gone;
        ended = await Promise.race([gone.answer.then(() => running.answer), givenUp]);
        if (spec.kind === 'adopt' && !isGivenUp(ended)) ended = endedByCancel(ended);
      }
    }
    if (isGivenUp(ended)) {
      running.cancel();
      ending.cancel();
    }
    return ended;
  }

  /** What is said of hosts that are not waited for any more. */
  private notWatched({ places, node }: TargetsPlacement, { givenUp, rerun }: GivenUp): Results {
    this.isToBeRerun ||= rerun;
    const isLeft = this.spec.kind === 'adopt' && this.interruptions.isCanceled;
    const result: TargetResult = {
      status: isLeft ? 'canceled' : 'failed',
      failure: isLeft ? null : { kind: node === null ? 'unreachable' : 'node_lost', message: givenUp },
      rc: null,
      changed: null,
      ansible_job_id: null,
      message: givenUp,
      started_at: this.board.startedAt,
      finished_at: now(),
    };
    return Object.fromEntries(Object.keys(places).map((host) => [host, result]));
  }
}

/** Of a host that could not be reached until the job was canceled. */
function canceledBefore(): TargetResult {
  return {
    status: 'canceled',
    failure: null,
    rc: null,
    changed: null,
    ansible_job_id: null,
    message: 'before it started',
    started_at: null,
    finished_at: now(),
  };
}

interface Asked<T> {
  answer: Promise<T>;
  /** The answer is not asked for any more. */
  cancel: () => void;
}

const nothingAsked = { cancel: (): void => undefined };

/** In a scope of its own, out of reach of a cancel of the run. */
function cancellable<T>(ask: () => Promise<T>): Asked<T> {
  const scope = new CancellationScope();
  const answer = scope.run(ask);
  answer.catch(() => undefined);
  return { answer, cancel: () => scope.cancel() };
}

function isGivenUp(ended: object): ended is GivenUp {
  return 'givenUp' in ended && typeof ended.givenUp === 'string';
}

function hostsInWords(places: TargetsPlacement['places']): string {
  const hosts = Object.keys(places);
  return hosts.length === 1 ? (hosts[0] ?? '') : `${hosts.length} hosts`;
}
