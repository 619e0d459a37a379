import type { Foreground } from '../../foreground/foreground.js';
import { documentOf, type JobDocument, type OutputSummary } from '../../job/document.js';
import { isForeground, type AttemptEvidence, type RunEvidence } from '../../job/evidence.js';
import { workflowIdOf, type JobName } from '../../job/names.js';
import { heardOf, isFinished, isWaitingForSlot, placementOf, stateOf, type JobState } from '../../job/state.js';
import { progressOfAll, unknownProgress, type LiveProgress } from '../../job/progress.js';
import { listedState, summaryOf, unread, type JobSummary } from '../../job/summary.js';
import { stateOfSteps, type StepEvidence } from '../../job/steps-state.js';
import { attemptOnHosts } from '../../job/node-protocol.js';
import type { AttemptStore } from '../../store/attempts.js';
import type { StoredOutput } from '../../store/output.js';
import { linksOf } from '../links.js';
import { listedStatus } from '../lists/status.js';
import type { Temporal } from '../temporal/connection.js';
import { describeRun } from '../temporal/describe.js';
import type { ListedRun } from '../temporal/listed-runs.js';
import { enteredRun } from '../temporal/enter.js';
import type { Nodes, SeenNode } from '../temporal/nodes.js';
import { SharedCalls } from '../temporal/shared-calls.js';
import { StepsOfRuns } from '../temporal/specs.js';
import { isOnNode, keyOfLastAttempt, outputOfSteps, wholeOutputOnHosts } from './output.js';
import { documentsOfSteps, evidenceOfSteps, progressOfSteps } from './steps.js';

/** How many finished runs' output is remembered. */
const rememberedOutputs = 200;

/** A run with the state that its evidence shows. */
export interface SeenRun {
  run: RunEvidence;
  state: JobState;
  /** Of a run of several steps. */
  steps?: StepEvidence[];
}

/** Looks at jobs: what Temporal knows, joined with what the attempts' folders show. */
export class Jobs {
  readonly #calls = new SharedCalls<SeenRun | undefined>();
  readonly #outputs = new Map<string, OutputSummary>();
  readonly #specs: StepsOfRuns;

  /** @param temporalUi the base of links into Temporal's Web UI, if there is one */
  constructor(
    private readonly temporal: Temporal,
    private readonly store: AttemptStore,
    private readonly nodes: Nodes,
    private readonly foreground: Pick<Foreground, 'evidence'>,
    private readonly temporalUi: string | undefined,
  ) {
    this.#specs = new StepsOfRuns(temporal);
  }

  /** A run as it is now, never older than the question; the latest without `runId`. Undefined if there is none. */
  see(job: JobName, runId?: string): Promise<SeenRun | undefined> {
    return this.#calls.get(`${workflowIdOf(job)} ${runId ?? ''}`, async () => {
      const run = await this.#find(job, runId);
      if (run === undefined) return undefined;
      return run.memo.kind === 'steps' ? this.#seeSteps(run) : { run, state: await this.#state(run) };
    });
  }

  /** The document of a run. */
  async document(seen: SeenRun): Promise<JobDocument> {
    const { run, state } = seen;
    const temporalUi = isForeground(run) ? undefined : this.temporalUi;
    const links = linksOf(run, isCancelable(state), temporalUi);
    if (seen.steps === undefined) return documentOf(run, state, await this.#output(seen), links);
    const steps = await documentsOfSteps(run, seen.steps, (step) => this.#unread(step));
    const progress = { ...progressOfSteps(steps), message: null };
    return documentOf(run, state, { ...(await this.#output(seen)), progress }, links, steps);
  }

  async #seeSteps(run: RunEvidence): Promise<SeenRun> {
    const steps = await evidenceOfSteps(run, await this.#specs.of(run), (step) => this.see(step));
    return { run, steps, state: stateOfSteps(run, steps) };
  }

  /** The document of a run without what it printed. */
  async #unread({ run, state }: SeenRun): Promise<JobDocument> {
    const progress = isFinished(state) ? unknownProgress : await this.#progress(run);
    return documentOf(run, state, { ...unread, progress }, linksOf(run, isCancelable(state), undefined));
  }

  /** Until Temporal has a job that ran in the foreground, it is what its record says. */
  async #find(job: JobName, runId: string | undefined): Promise<RunEvidence | undefined> {
    const local = await this.foreground.evidence(job, runId);
    if (local !== undefined) return local;
    return runId === job.name ? enteredRun(this.temporal, job) : describeRun(this.temporal, job, runId);
  }

  /** A run as lists show it. */
  summary({ run, told }: ListedRun): JobSummary {
    const state = listedState(run, listedStatus(run.closed?.as ?? null, told));
    return summaryOf(run, state, linksOf(run, isCancelable(state), this.temporalUi));
  }

  async #state(run: RunEvidence): Promise<JobState> {
    const placement = placementOf(run);
    if (isWaitingForSlot(run)) return stateOf(run, null, await this.nodes.fleet());
    if (placement === null || run.memo.outcome !== undefined) return stateOf(run, null);
    const key = { ...run.job, runId: run.evidenceRunId, attempt: placement.attempt };
    if (!isOnNode(run)) return stateOf(run, await this.#onTargets(run, key));
    const node = placement.node ?? '';
    const evidence = await this.store.evidence(key, node);
    return stateOf(run, evidence ?? (await this.#reported(run, { ...placement, node })));
  }

  /** Where a run was closed from outside, each node that may have watched it has to say that nothing is left. */
  async #onTargets(
    { closed, createdAt }: RunEvidence,
    key: Parameters<AttemptStore['onTargets']>[0],
  ): Promise<AttemptEvidence | null> {
    const here = await this.store.onTargets(key);
    if (closed === null || here?.over === false) return here;
    const word = attemptOnHosts(key.runId, key.attempt);
    const nodes = (await this.nodes.list()).filter(({ node }) => here === null || node !== this.store.nodeId);
    if (nodes.some(({ state }) => state?.on_hosts?.includes(word)))
      return { startedAt: null, outcome: null, over: false };
    const hasSaid = ({ live, lastSeen, state }: SeenNode): boolean => {
      if (!live && (lastSeen === null || lastSeen < createdAt)) return true;
      return state?.on_hosts != null && (state.at > closed.at || (!live && state.final === true));
    };
    return nodes.every(hasSaid) ? { startedAt: null, outcome: null, over: true } : null;
  }

  /** What the node of a run that was closed from outside has told since: whether it still holds a slot for it. */
  async #reported(
    { closed, evidenceRunId }: RunEvidence,
    { node, attempt }: { node: string; attempt: number },
  ): Promise<AttemptEvidence | null> {
    if (closed === null) return null;
    const state = (await this.nodes.see(node))?.state;
    if (state == null || state.at <= closed.at || state.attempts.length < state.taken) return null;
    const isHeld = state.attempts.some((held) => held.run_id === evidenceRunId && held.attempt === attempt);
    return { startedAt: null, outcome: null, over: !isHeld };
  }

  async #output(seen: SeenRun): Promise<OutputSummary> {
    const { run, state, steps } = seen;
    const remembered = this.#outputs.get(run.runId);
    if (remembered !== undefined) return remembered;
    const finished = isFinished(state);
    const output = await (steps === undefined
      ? this.#readOutput(seen, finished)
      : this.#readOutputOfSteps(run, steps, finished));
    if (finished) this.#remember(run.runId, output);
    return output;
  }

  async #readOutputOfSteps(run: RunEvidence, steps: StepEvidence[], finished: boolean): Promise<OutputSummary> {
    const output = await outputOfSteps(this.store, run, steps);
    const summary = output?.isHere === true ? await output.text.summary(finished) : nothingStored(finished);
    return { ...summary, progress: unknownProgress };
  }

  async #readOutput(seen: SeenRun, finished: boolean): Promise<OutputSummary> {
    const { run } = seen;
    const key = isOnNode(run) ? keyOfLastAttempt(run) : null;
    const stored = key === null ? undefined : await this.store.output(key);
    const progress = finished ? await progressAtEnd(run, stored) : await this.#progress(run);
    const printed = isOnNode(run) ? stored : await wholeOutputOnHosts(this.store, seen);
    const summary = printed === undefined ? nothingStored(finished) : await printed.summary(finished);
    return { ...summary, progress };
  }

  /** How far the attempt under way is: by its folder where that is here, else as its node told last. */
  async #progress(run: RunEvidence): Promise<LiveProgress> {
    const told = progressOfAll(heardOf(run));
    const key = placementOf(run) === null ? null : keyOfLastAttempt(run);
    const seen = key !== null && isOnNode(run) ? await this.store.progress(key) : undefined;
    return seen === undefined ? told : { ...seen, eta: told.eta };
  }

  #remember(runId: string, output: OutputSummary): void {
    this.#outputs.set(runId, output);
    const [oldest] = this.#outputs.keys();
    if (this.#outputs.size > rememberedOutputs && oldest !== undefined) this.#outputs.delete(oldest);
  }
}

function nothingStored(finished: boolean): Omit<OutputSummary, 'progress'> {
  return { available: false, recentLines: [], text: finished ? '' : null, truncated: false };
}

/** How far a job came: as its outcome has it, else by the events of its last attempt. */
async function progressAtEnd({ memo }: RunEvidence, stored: StoredOutput | undefined): Promise<LiveProgress> {
  const tasks = memo.outcome?.tasks ?? (await stored?.work());
  return tasks == null ? unknownProgress : { ...unknownProgress, tasksDone: tasks.done, tasksTotal: tasks.total };
}

/** Whether a cancel would change anything. */
export function isCancelable(state: JobState): boolean {
  return state.status === 'pending' || state.status === 'running';
}
