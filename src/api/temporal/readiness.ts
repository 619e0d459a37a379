import { isGrpcServiceError } from '@temporalio/client';
import proto from '@temporalio/proto';
import { jobWorkflowType, sharedTaskQueue } from '../../job/protocol.js';
import { all, equals, isOpen, isSet } from '../../job/visibility.js';
import { Problem } from '../problem.js';
import type { Temporal } from './connection.js';

const { TaskQueueKind, TaskQueueType } = proto.temporal.api.enums.v1;
const timeoutMs = 1_500;
/** A worker asks again at least this often; Temporal lists one that died for longer. */
const pollerFreshMs = 70_000;

/** What jobs need, and for each what is wrong with it; null if nothing is. */
export interface Readiness {
  temporal: string | null;
  worker: string | null;
  workflows: string | null;
  /** Null while it can't be known. */
  queue: Queue | null;
}

/** The jobs of all tenants that have not ended. */
export interface Queue {
  /** They wait for a slot, for their start, for their tenant's turn or for their next attempt. */
  pending: number;
  running: number;
}

const unknown = 'not known while Temporal is away';

/** While nobody listens at Temporal's address. */
export const away: Readiness = {
  temporal: 'Temporal does not answer',
  worker: unknown,
  workflows: unknown,
  queue: null,
};

/** Asks Temporal whether jobs would be served now. */
export async function readiness(engine: Temporal): Promise<Readiness> {
  try {
    const [worker, workflows, queue] = await Promise.all([
      workerTrouble(engine),
      workflowTrouble(engine),
      openJobs(engine),
    ]);
    return { temporal: null, worker, workflows, queue };
  } catch (error) {
    if (error instanceof Problem) return away;
    // It may lack what we ask for, or not let us in: then jobs aren't served, and whoever looks is to learn why.
    if (isGrpcServiceError(error)) return { ...away, temporal: `Temporal refuses to answer: ${error.details}` };
    throw error;
  }
}

async function workerTrouble(engine: Temporal): Promise<string | null> {
  const request = {
    namespace: engine.namespace,
    taskQueue: { name: sharedTaskQueue, kind: TaskQueueKind.TASK_QUEUE_KIND_NORMAL },
    taskQueueType: TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
  };
  const { pollers } = await engine.call((service) => service.describeTaskQueue(request), { timeoutMs });
  const isFresh = pollers.some(
    ({ lastAccessTime }) => Date.now() - Number(lastAccessTime?.seconds ?? 0) * 1000 < pollerFreshMs,
  );
  return isFresh ? null : 'No worker asks Temporal for work. Start one, or see its log';
}

/** Temporal marks the workflows whose tasks fail again and again. */
async function workflowTrouble(engine: Temporal): Promise<string | null> {
  const failing = await countOf(engine, all(equals('ExecutionStatus', 'Running'), isSet('TemporalReportedProblems')));
  return failing === 0
    ? null
    : `The workflows of ${failing} job(s) make no progress because their tasks fail; their documents say why`;
}

/** As visibility has them: what starts or ends is counted a moment later. */
async function openJobs(engine: Temporal): Promise<Queue> {
  await engine.ensureSearchAttributes();
  const open = all(equals('WorkflowType', jobWorkflowType), isOpen);
  const isPending = equals('status', 'pending');
  const [total, pending] = await Promise.all([countOf(engine, open), countOf(engine, all(open, isPending))]);
  return { pending, running: Math.max(0, total - pending) };
}

async function countOf(engine: Temporal, query: string): Promise<number> {
  const request = { namespace: engine.namespace, query };
  const { count } = await engine.call((service) => service.countWorkflowExecutions(request), { timeoutMs });
  return Number(count);
}
