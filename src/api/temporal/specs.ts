import type { RunEvidence } from '../../job/evidence.js';
import type { Step } from '../../job/kinds/steps.js';
import type { Temporal } from './connection.js';
import { specOfRun } from './history.js';

const remembered = 200;

/** The steps that runs were started with, which never change. */
export class StepsOfRuns {
  readonly #known = new Map<string, readonly Step[]>();

  constructor(private readonly temporal: Temporal) {}

  /** None if the run is gone. */
  async of({ job, runId }: RunEvidence): Promise<readonly Step[]> {
    const known = this.#known.get(runId);
    if (known !== undefined) return known;
    const spec = await specOfRun(this.temporal, job, runId);
    const steps = spec?.kind === 'steps' ? spec.steps : [];
    this.#known.set(runId, steps);
    const [oldest] = this.#known.keys();
    if (this.#known.size > remembered && oldest !== undefined) this.#known.delete(oldest);
    return steps;
  }
}
