import proto from '@temporalio/proto';
import { sharedTaskQueue } from '../../job/protocol.js';
import { Problem } from '../problem.js';
import type { Temporal } from './connection.js';

const { TaskQueueKind, TaskQueueType } = proto.temporal.api.enums.v1;
const timeoutMs = 2_000;
/** A worker asks again at least this often; Temporal lists one that died for longer. */
const pollerFreshMs = 70_000;

/** What jobs need, and for each what is wrong with it; null if nothing is. */
export interface Readiness {
  temporal: string | null;
  worker: string | null;
  workflows: string | null;
}

/** Asks Temporal whether jobs would be served now. */
export async function readiness(engine: Temporal): Promise<Readiness> {
  try {
    const [worker, workflows] = await Promise.all([workerTrouble(engine), workflowTrouble(engine)]);
    return { temporal: null, worker, workflows };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const unknown = 'not known while Temporal is away';
    return { temporal: 'Temporal does not answer', worker: unknown, workflows: unknown };
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
  const query = `ExecutionStatus = 'Running' AND TemporalReportedProblems IS NOT NULL`;
  const { count } = await engine.call(
    (service) => service.countWorkflowExecutions({ namespace: engine.namespace, query }),
    { timeoutMs },
  );
  const failing = Number(count);
  return failing === 0
    ? null
    : `The workflows of ${failing} job(s) make no progress because their tasks fail; their documents say why`;
}
