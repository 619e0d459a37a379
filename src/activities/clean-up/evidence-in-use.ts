import { workflowIdOf, type JobName } from '../../job/names.js';
import type { NodeContext } from '../context.js';
import { findRun, runsOf } from './temporal-runs.js';

/**
 * By which run ids the evidence of the runs in Temporal is kept, which a list of them doesn't tell: after a Reset it is another
 * run's. Asks once for each job.
 */
export class EvidenceInUse {
  private readonly ofJobs = new Map<string, Set<string>>();
  private readonly ofRuns = new Map<string, string>();
  private readonly remembered: ReadonlyMap<string, string>;

  /** @param former what it has found out of runs can't have changed */
  constructor(
    private readonly context: NodeContext,
    former?: EvidenceInUse,
  ) {
    this.remembered = former?.ofRuns ?? new Map();
  }

  /** Those of all runs of a job. */
  async of(job: JobName): Promise<ReadonlySet<string>> {
    const asked = this.ofJobs.get(workflowIdOf(job));
    if (asked !== undefined) return asked;
    const found = new Set<string>();
    for await (const { runId } of runsOf(this.context, job)) {
      const evidence = this.remembered.get(runId) ?? (await findRun(this.context, job, runId))?.evidenceRunId;
      if (evidence === undefined) continue;
      this.ofRuns.set(runId, evidence);
      found.add(evidence);
    }
    this.ofJobs.set(workflowIdOf(job), found);
    return found;
  }
}
