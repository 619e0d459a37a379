import { randomUUID } from 'node:crypto';
import { encodeToPayloads } from '@temporalio/common/lib/internal-non-workflow/index.js';
import type { RunEvidence } from '../../job/evidence.js';
import { workflowIdOf } from '../../job/names.js';
import type { Temporal } from './connection.js';

/** Signals a run. @throws the gRPC error NOT_FOUND if it has closed; Problem `temporal-unavailable` */
export async function signalRun(
  engine: Temporal,
  { job, runId }: Pick<RunEvidence, 'job' | 'runId'>,
  signalName: string,
  ...args: unknown[]
): Promise<void> {
  const { namespace, identity, converter } = engine;
  const input = { payloads: (await encodeToPayloads(converter, ...args)) ?? [] };
  const workflowExecution = { workflowId: workflowIdOf(job), runId };
  const request = { namespace, identity, workflowExecution, signalName, input, requestId: randomUUID() };
  await engine.call((service) => service.signalWorkflowExecution(request));
}
