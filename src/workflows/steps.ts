import {
  defineSearchAttributeKey,
  SearchAttributeType,
  WorkflowExecutionAlreadyStartedError,
} from '@temporalio/common';
import {
  CancellationScope,
  ChildWorkflowCancellationType,
  ChildWorkflowFailure,
  type ChildWorkflowHandle,
  getExternalWorkflowHandle,
  ParentClosePolicy,
  proxyLocalActivities,
  sleep,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import type { EngineActivities } from '../activities/index.js';
import type { Step, StepsSpec } from '../job/kinds/steps.js';
import { specOfStep } from '../job/spec-of-step.js';
import { workflowIdOf } from '../job/names.js';
import type { Outcome } from '../job/outcome.js';
import { memoAtStart, workflowTaskTimeoutMs, type JobInput } from '../job/protocol.js';
import { attributesAtStart } from '../job/search-attributes.js';
import { titleOf } from '../job/title.js';
import { mayGoOn, outcomeOfSteps, type Ending } from '../job/step-outcome.js';
import { stepWorkflowType } from '../job/step-protocol.js';
import type { step as stepWorkflow } from './job.js';
import { now } from './outcomes.js';
import { StepsBoard } from './steps-board.js';
import { whyCanceled } from './why-canceled.js';

/** Temporal refuses payloads of 2 MiB, and ends a workflow whose history has 50. */
const inputBytes = 1_900_000;
const allInputsBytes = 20_000_000;
const startsAtOnce = 10;
const startsEveryMs = 1_000;
const summaryCharacters = 200;
const shortestPauseMs = 1_000;
const longestPauseMs = 600_000;
/** Of all steps together, each time that what has passed is e times as long. */
const looksByEnd = 1_000;

/** Runs the steps of a job as workflows of their own, each as soon as those that it needs have ended. */
export async function runSteps(input: JobInput, spec: StepsSpec): Promise<Outcome> {
  const run = new StepsRun(input, spec);
  // The root only listens for a cancel, as that of each step does (R5).
  const canceled = CancellationScope.current().cancelRequested.catch(() => 'canceled' as const);
  return CancellationScope.nonCancellable(() => run.toTheEnd(canceled));
}

class StepsRun {
  private readonly board: StepsBoard;
  private readonly endings = new Map<string, Ending>();
  private readonly underWay = new Map<string, Promise<void>>();
  /** Until more may be started. */
  private pause: Promise<void> | null = null;
  private isCanceled = false;
  private bytes = 0;

  constructor(
    private readonly input: JobInput,
    private readonly spec: StepsSpec,
  ) {
    this.board = new StepsBoard(input, spec);
  }

  async toTheEnd(canceled: Promise<'canceled'>): Promise<Outcome> {
    void canceled.then(() => {
      this.isCanceled = true;
      this.board.canceling();
    });
    for (;;) {
      this.start(this.ready(), canceled);
      const events = [...this.underWay.values(), ...(this.pause === null ? [] : [this.pause])];
      if (events.length === 0) break;
      await Promise.race(events);
    }
    const outcome = await this.outcome();
    this.board.closing(outcome);
    return outcome;
  }

  private async outcome(): Promise<Outcome> {
    const outcome = outcomeOfSteps(this.spec.steps, this.endings, this.isCanceled, now());
    const isOnRequest = this.isCanceled && outcome.status === 'canceled';
    return isOnRequest ? { ...outcome, reason: await whyCanceled() } : outcome;
  }

  /** Not all of many at once: workers would take up more of them than they can serve in time. */
  private start(ready: Step[], canceled: Promise<'canceled'>): void {
    if (this.pause !== null) return;
    const burst = ready.slice(0, startsAtOnce);
    for (const step of burst) this.underWay.set(step.name, this.run(step, canceled));
    if (ready.length > burst.length) this.pause = sleep(startsEveryMs).then(() => void (this.pause = null));
  }

  /** The steps that may start now: none any more when one has ended in a way that stops the job. */
  private ready(): Step[] {
    const { steps } = this.spec;
    const isStopped = steps.some((step) => this.hasEnded(step) && !this.mayGoOn(step.name));
    if (this.isCanceled || isStopped) return [];
    return steps.filter(
      (step) => !this.hasEnded(step) && !this.underWay.has(step.name) && step.needs.every((need) => this.mayGoOn(need)),
    );
  }

  private hasEnded({ name }: Step): boolean {
    return this.endings.has(name);
  }

  private mayGoOn(name: string): boolean {
    const [step, ending] = [this.spec.steps.find((other) => other.name === name), this.endings.get(name)];
    return step !== undefined && ending !== undefined && mayGoOn(step, ending);
  }

  private async run(step: Step, canceled: Promise<'canceled'>): Promise<void> {
    const ending = await this.endingOf(step, canceled);
    this.endings.set(step.name, ending);
    this.underWay.delete(step.name);
    this.board.ended(step, ending);
  }

  private async endingOf(step: Step, canceled: Promise<'canceled'>): Promise<Ending> {
    const input = this.inputOf(step);
    const refusal = this.refusalOf(input);
    if (refusal !== undefined) return notLaunched(refusal);
    const workflowId = this.workflowIdOf(step);
    // A scope of its own, canceled when the step has been started: what is on its way can't be called back.
    const scope = new CancellationScope();
    try {
      const child = await scope.run(() => startStep(workflowId, input));
      this.board.started(step, child.firstExecutionRunId);
      void canceled.then(() => scope.cancel());
      return await child.result();
    } catch (error) {
      // A run that this one continues after a Reset in Temporal has started it: it is never started again.
      const isThere = error instanceof WorkflowExecutionAlreadyStartedError;
      if (isThere || error instanceof ChildWorkflowFailure) return this.follow(step, workflowId, canceled);
      throw error;
    }
  }

  /** How a step ended that doesn't tell this run by itself. */
  private async follow(step: Step, workflowId: string, canceled: Promise<'canceled'>): Promise<Ending> {
    const { lookAtStep } = proxyLocalActivities<EngineActivities>({ startToCloseTimeout: '30s' });
    let since = Date.now();
    void canceled.then(() => (since = Date.now()));
    for (let isKnown = false; ; isKnown = true) {
      const { run_id, ending } = await lookAtStep(workflowId, step.outputs);
      if (ending !== null) return ending;
      this.board.started(step, run_id);
      if (!isKnown) void canceled.then(() => cancelFromOutside(workflowId));
      const pause = sleep(this.pauseAfter(Date.now() - since));
      await (this.isCanceled ? pause : Promise.race([pause, canceled]));
    }
  }

  /** Each look stays in the history, which has an end; so the longer it takes, and the more steps there are, the rarer they are. */
  private pauseAfter(elapsedMs: number): number {
    const soon = Math.min(longestPauseMs, elapsedMs / 10);
    return Math.max(shortestPauseMs, soon, (elapsedMs * this.underWay.size) / looksByEnd);
  }

  private workflowIdOf({ name }: Step): string {
    const { tenant, playbook_name: playbookName, name: job } = this.input;
    const step = { runId: workflowInfo().originalExecutionRunId, name };
    return workflowIdOf({ tenant, playbookName, name: job, step });
  }

  private inputOf(step: Step): JobInput {
    const { tenant, playbook_name, name, tenant_limit } = this.input;
    const given = step.needs.flatMap((need) => {
      const ending = this.endings.get(need);
      return ending !== undefined && 'outcome' in ending ? Object.entries(ending.outcome.outputs ?? {}) : [];
    });
    return {
      tenant,
      playbook_name,
      name,
      spec: specOfStep(this.spec, step, Object.fromEntries(given)),
      step: { run_id: workflowInfo().originalExecutionRunId, name: step.name, outputs: step.outputs },
      ...(tenant_limit !== undefined && { tenant_limit }),
    };
  }

  /** Why Temporal would not take a step's input; undefined if it does. */
  private refusalOf(input: JobInput): string | undefined {
    const bytes = new TextEncoder().encode(JSON.stringify(input)).length;
    if (bytes > inputBytes) return `with what other steps hand on, it has ${bytes} bytes of ${inputBytes}`;
    this.bytes += bytes;
    return this.bytes > allInputsBytes
      ? `with what they are handed on, all steps together have more than ${allInputsBytes} bytes`
      : undefined;
  }
}

function startStep(workflowId: string, input: JobInput): Promise<ChildWorkflowHandle<typeof stepWorkflow>> {
  const { step, spec, name } = input;
  return startChild<typeof stepWorkflow>(stepWorkflowType, {
    workflowId,
    args: [input],
    workflowIdReusePolicy: 'REJECT_DUPLICATE',
    parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
    cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
    workflowTaskTimeout: workflowTaskTimeoutMs,
    memo: { ...memoAtStart(input) },
    typedSearchAttributes: Object.entries(attributesAtStart(input)).map(([name, [value = '']]) => ({
      key: defineSearchAttributeKey(name, SearchAttributeType.KEYWORD),
      value,
    })),
    staticSummary: `Step ${step?.name}: ${titleOf(spec)} (${name})`.slice(0, summaryCharacters),
  });
}

/** Also what this run hasn't started. */
async function cancelFromOutside(workflowId: string): Promise<void> {
  try {
    await getExternalWorkflowHandle(workflowId).cancel();
  } catch {
    // It has closed: whoever looks at it next, sees how.
  }
}

function notLaunched(why: string): Ending {
  const failure = { kind: 'launch', message: `It could not be started: ${why}` } as const;
  const outcome: Outcome = {
    status: 'failed',
    failure,
    rc: null,
    stats: {},
    started_at: null,
    finished_at: now(),
    leftovers: [],
  };
  return { outcome, attempt: null };
}
