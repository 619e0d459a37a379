import { jobOfStep } from '../../job/names.js';
import { isOneOf } from '../../job/visibility.js';
import type { StoredRun } from '../../store/run-folders.js';
import type { NodeContext } from '../context.js';
import { EvidenceInUse } from './evidence-in-use.js';
import { mayLive } from './liveness.js';
import { findRun, isAway, listRuns } from './temporal-runs.js';

/** How many runs one visibility query asks for. */
const batchSize = 100;
const runIdPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Removes the files of runs that Temporal no longer knows: deleted by clean-up or through the API on any machine, dropped after
 * Temporal's retention, or left by a removal that was interrupted. Nothing goes before its own `ttl` has passed, so that
 * a database that was lost takes no result with it.
 */
export class LeftFiles {
  /** Until when the files of a settled run are kept, in ms since 1970, by its id. Saves reading its records each time. */
  #keptUntil = new Map<string, number>();
  #evidence: EvidenceInUse;

  constructor(private readonly context: NodeContext) {
    this.#evidence = new EvidenceInUse(context);
  }

  /** One look through all folders; what can't be removed now is left to the next. */
  async remove(signal: AbortSignal): Promise<void> {
    const remembered = this.#keptUntil;
    this.#keptUntil = new Map();
    this.#evidence = new EvidenceInUse(this.context, this.#evidence);
    let past: StoredRun[] = [];
    for await (const run of this.context.folders.all()) {
      signal.throwIfAborted();
      if (!runIdPattern.test(run.runId)) continue;
      const kept = await this.#lookUp(run, remembered.get(run.runId));
      if (kept === undefined || kept >= Date.now()) continue;
      past.push(run);
      if (past.length < batchSize) continue;
      await this.#removeForgotten(past, signal);
      past = [];
    }
    await this.#removeForgotten(past, signal);
  }

  async #lookUp({ job, runId }: StoredRun, remembered?: number): Promise<number | undefined> {
    const kept =
      remembered === undefined ? await this.context.folders.keptUntil(job, runId) : { at: remembered, final: true };
    if (kept?.final === true) this.#keptUntil.set(runId, kept.at);
    return kept?.at;
  }

  async #removeForgotten(runs: StoredRun[], signal: AbortSignal): Promise<void> {
    if (runs.length === 0) return;
    const known = new Set<string>();
    const ids = runs.map(({ runId }) => runId);
    for await (const { runId } of listRuns(this.context, isOneOf('RunId', ids))) known.add(runId);
    for (const run of runs) {
      signal.throwIfAborted();
      if (known.has(run.runId)) continue;
      try {
        // What was remembered may be older than a further attempt.
        const kept = await this.#lookUp(run);
        if (kept !== undefined && kept < Date.now()) await removeForgotten(this.context, run, this.#evidence);
      } catch (error) {
        if (isAway(error)) throw error;
        this.context.log.error({ err: error, ...run }, 'the files of a run could not be removed');
      }
    }
  }
}

/** Removes the files of a run, unless Temporal has it, or one that goes on with it or shows it, or something of it may live. */
export async function removeForgotten(
  context: NodeContext,
  run: StoredRun,
  evidence = new EvidenceInUse(context),
): Promise<void> {
  const { runId } = run;
  const owner = await context.folders.ownerOf(run);
  // Visibility, which evidence rests on, may lag; a run's own record doesn't.
  if ((await findRun(context, owner, runId)) !== undefined || (await evidence.of(owner)).has(runId)) return;
  // A step's stay as long as its job, which shows them.
  const { step } = owner;
  if (step !== undefined && (await evidence.of(jobOfStep(owner))).has(step.runId)) return;
  if (await mayLive(context, run)) return;
  await context.folders.remove(run.job, runId);
}
