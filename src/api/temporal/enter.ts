import type { EndedJob } from '../../foreground/foreground.js';
import type { RunEvidence } from '../../job/evidence.js';
import { workflowIdOf, type JobName } from '../../job/names.js';
import { untilClosed } from './close.js';
import type { Temporal } from './connection.js';
import { describeRun } from './describe.js';
import { runIdsOf } from './runs.js';
import { startEnded, type Order } from './start.js';

/** How long the close is waited for in one go: a worker has to be there for it. */
const closeWaitMs = 2_000;

/**
 * Enters a job that has run in the foreground into Temporal, as a workflow that closes as the job ended. May be repeated.
 * @returns whether Temporal has it, closed; false while no worker takes it up
 * @throws Problem `temporal-unavailable`
 */
export async function enterJob(engine: Temporal, ended: EndedJob, order: Order, signal: AbortSignal): Promise<boolean> {
  const { job, memo } = ended;
  const { runId } = await startEnded(engine, ended, order);
  await untilClosed(engine, job, runId, closeWaitMs, signal);
  const run = await describeRun(engine, job, runId);
  // Deleted since, by somebody who uses Temporal itself.
  if (run === undefined) return true;
  if (run.memo.foreground?.run_id !== memo.run_id)
    throw new Error(
      `the name of ${workflowIdOf(job)}, which ran in the foreground, was given to another run, ${runId}`,
    );
  return run.closed !== null;
}

/** The run as which a job was entered that had run in the foreground; undefined if there is none. */
export async function enteredRun(engine: Temporal, job: JobName): Promise<RunEvidence | undefined> {
  const latest = await describeRun(engine, job);
  if (latest === undefined || latest.memo.foreground?.run_id === job.name) return latest;
  for (const runId of await runIdsOf(engine, job)) {
    const run = await describeRun(engine, job, runId);
    if (run?.memo.foreground?.run_id === job.name) return run;
  }
  return undefined;
}
