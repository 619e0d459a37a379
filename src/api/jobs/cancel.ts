import { randomUUID } from 'node:crypto';
import { isForeground } from '../../job/evidence.js';
import { workflowIdOf } from '../../job/names.js';
import type { ApiContext } from '../context.js';
import { killSignal } from '../../job/target-protocol.js';
import { grpc, hasGrpcCode } from '../temporal/connection.js';
import { signalRun } from '../temporal/signal.js';
import type { SeenRun } from './jobs.js';

const defaultReason = 'on request';

/**
 * Asks Temporal to cancel a run; the reason goes into its history. A run that was asked already, or that its node is
 * ending, is left to that; what it was asked then without `kill` still gets it, if it comes in time.
 * @param kill whether an adopted job is ended too, which was started elsewhere
 * @returns false if it has closed meanwhile
 */
export async function cancelJob(
  { temporal, foreground }: ApiContext,
  { run }: SeenRun,
  { reason, kill }: { reason: string | undefined; kill: boolean },
): Promise<boolean> {
  if (run.closed !== null) return true;
  const isToBeKilled = kill && run.memo.kind === 'adopt';
  if (run.cancelRequested && !isToBeKilled) return true;
  if (isForeground(run)) return foreground.cancel(run.job, reason || defaultReason);
  const { namespace, identity } = temporal;
  const workflowExecution = { workflowId: workflowIdOf(run.job), runId: run.runId };
  const request = { namespace, identity, workflowExecution, requestId: randomUUID(), reason: reason || defaultReason };
  try {
    // Before the cancel, which may close the run at once.
    if (isToBeKilled) await signalRun(temporal, run, killSignal);
    if (run.cancelRequested) return true;
    await temporal.call((service) => service.requestCancelWorkflowExecution(request));
    return true;
  } catch (error) {
    if (hasGrpcCode(error, grpc.NOT_FOUND)) return false;
    throw error;
  }
}
