import { randomUUID } from 'node:crypto';
import { isGrpcServiceError } from '@temporalio/client';
import { encodeMapToPayloads, encodeToPayloads } from '@temporalio/common/lib/internal-non-workflow/index.js';
import { msToTs } from '@temporalio/common/lib/time.js';
import proto, { type temporal } from '@temporalio/proto';
import { workflowIdOf, type JobName } from '../../job/names.js';
import { jobWorkflowType, sharedTaskQueue, type JobInput, type JobMemo } from '../../job/protocol.js';
import type { JobSpec } from '../../job/spec.js';
import { Problem } from '../problem.js';
import { grpc, hasGrpcCode, type Temporal } from './connection.js';

const { WorkflowIdConflictPolicy, WorkflowIdReusePolicy } = proto.temporal.api.enums.v1;
const failureType = 'temporal.api.errordetails.v1.WorkflowExecutionAlreadyStartedFailure';
const startTimeoutMs = 10_000;
const workflowTaskTimeoutMs = 5000;
/** Temporal refuses payloads of 2 MiB. */
const payloadBytes = 1_900_000;

/** What a start found: `started` a new run, `open` one that had not closed, `closed` one that the policy won't repeat. */
export interface StartResult {
  found: 'started' | 'open' | 'closed';
  runId: string;
}

/**
 * Starts a job, or finds the run that its name has: one atomic decision of Temporal's, made by its workflow ID policies.
 * @throws Problem `temporal-unavailable` when it isn't known whether it started; `body-too-large`
 */
export async function startJob(engine: Temporal, job: JobName, spec: JobSpec): Promise<StartResult> {
  const request = await startRequest(engine, job, spec);
  try {
    const { runId, started } = await engine.call((service) => service.startWorkflowExecution(request), {
      timeoutMs: startTimeoutMs,
    });
    return { found: started ? 'started' : 'open', runId };
  } catch (error) {
    const runId = hasGrpcCode(error, grpc.ALREADY_EXISTS) ? runIdOfExisting(error) : undefined;
    if (runId === undefined) throw error;
    return { found: 'closed', runId };
  }
}

async function startRequest(
  { converter, namespace, identity }: Temporal,
  job: JobName,
  spec: JobSpec,
): Promise<temporal.api.workflowservice.v1.IStartWorkflowExecutionRequest> {
  const input: JobInput = { tenant: job.tenant, playbook_name: job.playbookName, name: job.name, spec };
  const payloads = (await encodeToPayloads(converter, input)) ?? [];
  if (payloads.some(({ data }) => (data?.length ?? 0) > payloadBytes)) {
    throw new Problem(
      'body-too-large',
      'The job is larger than 1.9 MB as normalized JSON. Move large data into files beside the playbook',
    );
  }
  const workflowId = workflowIdOf(job);
  return {
    namespace,
    identity,
    // A call that is repeated underneath us is no second start.
    requestId: randomUUID(),
    workflowId,
    workflowType: { name: jobWorkflowType },
    taskQueue: { name: sharedTaskQueue },
    input: { payloads },
    memo: { fields: await encodeMapToPayloads<string>(converter, { ...memoOf(input) }) },
    workflowIdConflictPolicy: WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
    workflowIdReusePolicy: reusePolicy(spec.when_finished),
    // A worker that dies with a workflow task in hand must not hold up its job for the usual 10 s.
    workflowTaskTimeout: msToTs(workflowTaskTimeoutMs),
    priority: { priorityKey: spec.priority, fairnessKey: job.tenant.slice(0, 64) },
    userMetadata: { summary: (await encodeToPayloads(converter, `${spec.playbook} (${job.name})`))?.[0] ?? null },
  };
}

function memoOf({ tenant, playbook_name, name, spec }: JobInput): JobMemo {
  return {
    tenant,
    playbook_name,
    name,
    playbook: spec.playbook,
    workspace: spec.workspace,
    metadata: spec.metadata,
    ttl: spec.ttl,
  };
}

function reusePolicy(whenFinished: JobSpec['when_finished']): temporal.api.enums.v1.WorkflowIdReusePolicy {
  switch (whenFinished) {
    case 'return':
      return WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE;
    case 'rerun':
      return WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE;
    case 'rerun_if_failed':
      return WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY;
  }
}

function runIdOfExisting(error: unknown): string | undefined {
  if (!isGrpcServiceError(error)) return undefined;
  const [packed] = error.metadata.get('grpc-status-details-bin');
  if (packed === undefined || typeof packed === 'string') return undefined;
  const value = proto.google.rpc.Status.decode(packed).details.find(
    ({ type_url }) => type_url?.endsWith(failureType) === true,
  )?.value;
  return value == null
    ? undefined
    : proto.temporal.api.errordetails.v1.WorkflowExecutionAlreadyStartedFailure.decode(value).runId;
}
