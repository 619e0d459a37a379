import {
  CancellationScope,
  defineSignal,
  proxyActivities,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { TargetActivities } from '../activities/index.js';
import type { Outcome, TargetEnd, TargetResult } from '../job/outcome.js';
import { nodeTaskQueue, type JobInput } from '../job/protocol.js';
import { backoffBeforeNext } from '../job/backoff.js';
import { allWithoutPrinted, outputsOfTask } from '../job/printed.js';
import { withDeclaredOutputs } from '../job/step-outcome.js';
import { endedByCancel, hostsToRetry, isGivenUp, outcomeOfTargets } from '../job/target-outcome.js';
import {
  killSignal,
  targetsTaskQueue,
  type TargetsPlacement,
  type TargetSpec,
  type TargetsRef,
} from '../job/target-protocol.js';
import { canceledBeforeStart } from '../job/progress.js';
import { titleOf } from '../job/title.js';
import type { Board } from './board.js';
import type { GivenUp, Interruptions } from './interruptions.js';
import { canceledAfter, neverStarted, now, untilAnswered } from './outcomes.js';
import { isResumed } from './resumed.js';
import {
  abandonsHosts,
  asksFormerRunWhenCanceled,
  countsOnlyAttemptsWithHosts,
  failsWithHostsGivenUp,
  waitsForCanceledHosts,
} from './version.js';

type Results = Record<string, TargetEnd>;

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

  /** What it is to hand on; one at most. */
  private get outputs(): string[] {
    return this.input.step?.outputs ?? [];
  }

  async run(): Promise<Outcome> {
    const results: Results = {};
    let hosts: string[] | null = null;
    /** How it ended if a former run had no further attempt. */
    let withoutFurther: Outcome | null = null;
    let last: Outcome | null = null;
    for (; ; this.attempt++) {
      const { node, ended } = await this.runAttempt(hosts);
      if (Object.keys(ended).length === 0) {
        if (withoutFurther !== null) return withoutFurther;
        if (last !== null && this.interruptions.isCanceled && countsOnlyAttemptsWithHosts())
          return Object.values(results).some(isGivenUp) ? last : canceledAfter(last);
      }
      Object.assign(results, ended);
      const outcome = this.outcomeOf(results);
      last = outcome;
      this.board.attemptEnded({ attempt: this.attempt, node, outcome });
      const { isCanceled } = this.interruptions;
      if (outcome.status !== 'failed' || (isCanceled && !looksForFormerAttempts())) return outcome;
      hosts = hostsToRetry(results, this.isToBeRerun ? ['node_lost'] : this.spec.retry.on);
      const backoff = this.isToBeRerun ? 0 : backoffBeforeNext(this.spec.retry, this.attempt, outcome.failure.kind);
      if (backoff === undefined || hosts.length === 0) return outcome;
      this.board.retryAt(new Date(Date.now() + backoff).toISOString());
      const next = await Promise.race([sleep(Math.max(1, backoff)), this.interruptions.canceled]);
      if (next === 'canceled') {
        withoutFurther = isCanceled ? outcome : canceledAfter(outcome);
        if (!looksForFormerAttempts()) return withoutFurther;
      }
      // It could not be told which hosts its pattern means; what was said of it is said of none of them.
      const pattern = this.spec.kind === 'task' ? this.spec.hosts : this.spec.adopt.host;
      if (hosts.length === 1 && hosts[0] === pattern && Object.keys(results).length === 1) {
        Reflect.deleteProperty(results, pattern);
        hosts = null;
      }
    }
  }

  private outcomeOf(results: Results): Outcome {
    if (Object.keys(results).length === 0) return neverStarted();
    const outcome = outcomeOfTargets(allWithoutPrinted(results), now(), failsWithHostsGivenUp);
    return withDeclaredOutputs(this.outputs, { ...outcome, ...outputsOfTask(this.outputs[0], results) });
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
      if (open > 0) this.board.endedOn(allWithoutPrinted(results));
      return results;
    };
    const watchPart = (placed: TargetsPlacement): void => {
      if (Object.keys(placed.places).length === 0) return;
      node = placed.node ?? node;
      this.board.placed(placed.node, this.attempt);
      open += 1;
      parts.push(this.watch(placed).then(partEnded));
    };
    for (;;) {
      const placed = await this.prepare(hosts, since);
      if (placed === 'canceled') {
        const left = since === null ? [] : (hosts ?? []);
        const isAsked = left.length > 0 && looksForFormerAttempts();
        const former = isAsked ? await this.askToPrepare(left, null, true) : null;
        const known = { ...former?.places, ...former?.ended };
        for (const host of left) if (!Object.hasOwn(known, host)) ended[host] = canceledBeforeStart(now());
        Object.assign(ended, former?.ended);
        if (former !== null) watchPart(former);
        break;
      }
      Object.assign(ended, placed.ended);
      const isPlaced = Object.keys(placed.places).length > 0;
      const goesOn = isPlaced || placed.unreached.length > 0 || open > 1;
      if (goesOn && Object.keys(placed.ended).length > 0) this.board.endedOn(placed.ended);
      watchPart(placed);
      if (placed.unreached.length === 0) break;
      hosts = placed.unreached;
      since ??= now();
    }
    open -= 1;
    return { node, ended: Object.assign(ended, ...(await Promise.all(parts))) as Results };
  }

  /** Nothing that can be started follows from it once the job is canceled: what was prepared goes by itself. */
  private async prepare(hosts: string[] | null, since: string | null): Promise<TargetsPlacement | 'canceled'> {
    if (since === null) this.board.placing();
    if (hosts !== null && since !== null && abandonsHosts()) return this.prepareUntilGivenUp(hosts, since);
    const came = await Promise.race([this.askToPrepare(hosts, since), this.interruptions.canceled]);
    return came === 'canceled' && since === null && looksForFormerAttempts()
      ? this.askToPrepare(hosts, null, true)
      : came;
  }

  /** Hosts that are waited for may be given up meanwhile. */
  private async prepareUntilGivenUp(hosts: string[], since: string): Promise<TargetsPlacement | 'canceled'> {
    const { attempt } = this;
    const lost: Results = {};
    for (let left = hosts; ; left = left.filter((host) => !Object.hasOwn(lost, host))) {
      if (left.length === 0) return { ...nowhere, attempt, ended: lost };
      const scope = new CancellationScope();
      const preparing = scope.run(() => this.askToPrepare(left, since));
      const givenUp = this.interruptions.givenUp({ node: null, attempt, hosts: left });
      const came = await Promise.race([preparing, this.interruptions.canceled, givenUp]);
      if (came === 'canceled') return came;
      if (!isGivingUp(came)) return { ...came, ended: { ...lost, ...came.ended } };
      preparing.catch(() => undefined);
      scope.cancel();
      const never = { started_at: null };
      for (const [host, result] of Object.entries(this.notWatched(meantOf(left, came), null, came)))
        lost[host] = { ...result, ...never };
    }
  }

  private askToPrepare(hosts: string[] | null, since: string | null, onlyFormer = false): Promise<TargetsPlacement> {
    const { workflowId, originalExecutionRunId } = workflowInfo();
    const { prepareTargets } = proxyActivities<TargetActivities>({
      ...untilAnswered,
      taskQueue: targetsTaskQueue,
      heartbeatTimeout: '60s',
      summary: since === null ? 'Prepare its hosts' : 'Wait for hosts that can not be reached',
    });
    const { attempt, input } = this;
    const request = { workflow_id: workflowId, run_id: originalExecutionRunId, attempt, input, hosts, since };
    return prepareTargets({ ...request, ...(onlyFormer && { only_former: true }) });
  }

  private async watch(placed: TargetsPlacement): Promise<Results> {
    const { workflowId, originalExecutionRunId } = workflowInfo();
    const { attempt, spec } = this;
    const { node } = placed;
    const at = (summary: string): TargetActivities =>
      proxyActivities<TargetActivities>({
        ...untilAnswered,
        taskQueue: node === null ? targetsTaskQueue : nodeTaskQueue(node),
        heartbeatTimeout: placed.heartbeat_timeout_ms,
        retry: { ...untilAnswered.retry, initialInterval: placed.retry_interval_ms },
        summary,
      });
    const since = now();
    const lost: Results = {};
    let ref: TargetsRef = {
      workflow_id: workflowId,
      run_id: originalExecutionRunId,
      attempt,
      spec,
      places: placed.places,
      ...(this.outputs.length > 0 && { hands_on: true }),
      ...(placed.only_former && { only_former: true }),
    };
    for (;;) {
      const { places } = ref;
      const hosts = Object.keys(places);
      const givenUp = this.interruptions.givenUp({ node, attempt, hosts });
      // A scope of its own, so that what is given up is not asked for any more; out of reach of a cancel of the run.
      const scope = new CancellationScope();
      const running = scope.run(() => at(`Run ${titleOf(spec)} on ${hostsInWords(places)}`).runTargets(ref));
      let ended = await Promise.race([running, this.interruptions.canceled, givenUp]);
      if (ended === 'canceled') {
        const asked = now();
        this.board.canceling();
        if (spec.kind === 'adopt' && !this.isToBeKilled)
          ended = { givenUp: 'no longer watched; it was left as it is', rerun: false };
        else {
          const end = (some: TargetsRef['places']) =>
            scope.run(() => at(`End it on ${hostsInWords(some)}`).endTargets({ ...ref, places: some }));
          const gone = this.endedAndGone(places, running, end);
          gone.catch(() => undefined);
          ended = await Promise.race([gone, givenUp]);
          if (!isGivingUp(ended)) {
            scope.cancel();
            if (spec.kind === 'adopt') ended = endedByCancel(ended, asked);
          }
        }
      }
      if (!isGivingUp(ended)) return { ...lost, ...ended };
      running.catch(() => undefined);
      scope.cancel();
      Object.assign(lost, this.notWatched(meantOf(hosts, ended), node, ended));
      const left = Object.entries(places).filter(([host]) => !Object.hasOwn(lost, host));
      if (left.length === 0) return lost;
      this.board.endedOn(lost);
      // Whatever is left of the others ends with the job: the nodes' sweeps go by what was asked for first.
      const given_up = Object.entries(places).filter(([host]) => Object.hasOwn(lost, host));
      ref = {
        ...ref,
        places: Object.fromEntries(left),
        left_behind: { ...ref.left_behind, ...Object.fromEntries(given_up) },
        since,
        ...(ended.known && { known: ended.known }),
      };
    }
  }

  /** How it ended everywhere, when nothing is left of it where it was ended. Where it had ended by itself, or nobody knows, that isn't waited for. */
  private async endedAndGone(
    places: TargetsRef['places'],
    running: Promise<Results>,
    end: (places: TargetsRef['places']) => Promise<void>,
  ): Promise<Results> {
    const gone = end(places);
    gone.catch(() => undefined);
    if (!waitsForCanceledHosts()) return gone.then(() => running);
    const first = await Promise.race([gone.then(() => null), running]);
    if (first === null) return running;
    const isToBeGone = ({ status, failure }: TargetResult): boolean =>
      this.spec.kind === 'adopt' ? failure?.kind !== 'unreachable' : status === 'canceled';
    const some = Object.entries(places).filter(([host]) => isToBeGone(first[host] ?? canceledBeforeStart(now())));
    if (some.length === Object.keys(places).length) await gone;
    else if (some.length > 0) await Promise.race([gone, end(Object.fromEntries(some))]);
    return first;
  }

  /** What is said of hosts that are not waited for any more. */
  private notWatched(hosts: string[], node: string | null, { givenUp, rerun, hosts: named, known }: GivenUp): Results {
    this.isToBeRerun ||= rerun;
    const isLeft = this.spec.kind === 'adopt' && this.interruptions.isCanceled && named === undefined;
    const result: TargetResult = {
      status: isLeft ? 'canceled' : 'failed',
      failure: isLeft
        ? null
        : { kind: node === null || named !== undefined ? 'unreachable' : 'node_lost', message: givenUp },
      rc: null,
      changed: null,
      ansible_job_id: this.spec.kind === 'adopt' ? this.spec.adopt.ansible_job_id : null,
      message: givenUp,
      started_at: this.board.startedAt,
      finished_at: now(),
    };
    return Object.fromEntries(
      hosts.map((host) => {
        const { ansible_job_id = result.ansible_job_id, started_at = null } = known?.[host] ?? {};
        return [host, known === undefined ? result : { ...result, ansible_job_id, started_at }];
      }),
    );
  }
}

/** Whether a run that is canceled asks what the run before it had started, which it continues after a Reset (R5). */
function looksForFormerAttempts(): boolean {
  return isResumed() && asksFormerRunWhenCanceled();
}

/** Those of these hosts that are given up. */
function meantOf(hosts: string[], { hosts: named }: GivenUp): string[] {
  return hosts.filter((host) => named?.includes(host) ?? true);
}

/** Where nothing is to be watched. */
const nowhere = { node: null, places: {}, unreached: [], heartbeat_timeout_ms: 0, retry_interval_ms: 0 };

function isGivingUp(ended: object): ended is GivenUp {
  return 'givenUp' in ended && typeof ended.givenUp === 'string';
}

function hostsInWords(places: TargetsPlacement['places']): string {
  const hosts = Object.keys(places);
  return hosts.length === 1 ? (hosts[0] ?? '') : `${hosts.length} hosts`;
}
