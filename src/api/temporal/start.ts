import { randomUUID } from 'node:crypto';
import { isGrpcServiceError } from '@temporalio/client';
import { encodeMapToPayloads, encodeToPayloads } from '@temporalio/common/lib/internal-non-workflow/index.js';
import { encodeUnifiedSearchAttributes } from '@temporalio/common/lib/converter/payload-search-attributes.js';
import { msToTs } from '@temporalio/common/lib/time.js';
import proto, { type temporal } from '@temporalio/proto';
import type { EndedJob } from '../../foreground/foreground.js';
import { workflowIdOf, type JobName } from '../../job/names.js';
import {
  jobWorkflowType,
  memoAtStart,
  sharedTaskQueue,
  workflowTaskTimeoutMs,
  type JobInput,
} from '../../job/protocol.js';
import { attributesAtStart } from '../../job/search-attributes.js';
import type { JobSpec } from '../../job/spec.js';
import { titleOf } from '../../job/title.js';
import { Problem } from '../problem.js';
import { askedFor } from './asked-for.js';
import { grpc, hasGrpcCode, type Temporal } from './connection.js';

const { WorkflowIdConflictPolicy, WorkflowIdReusePolicy } = proto.temporal.api.enums.v1;
const failureType = 'temporal.api.errordetails.v1.WorkflowExecutionAlreadyStartedFailure';
const startTimeoutMs = 10_000;
/** Temporal refuses payloads of 2 MiB. */
const payloadBytes = 1_900_000;

type StartRequest = temporal.api.workflowservice.v1.IStartWorkflowExecutionRequest;

/** How a job is ordered among others. */
export interface Order {
  /** How many jobs of a tenant may be placed or running; absent: any number. */
  tenantLimit?: number;
  /** The shares of tenants among those that wait; 1 for those that aren't named. */
  tenantWeights: ReadonlyMap<string, number>;
}

/** What a start found: `started` a new run, `open` one that had not closed, `closed` one that the policy won't repeat. */
export interface StartResult {
  found: 'started' | 'open' | 'closed';
  runId: string;
}

/**
 * Starts a job, or finds the run that its name has: one atomic decision of Temporal's, made by its workflow ID policies.
 * @throws Problem `temporal-unavailable` when it isn't known whether it started; `body-too-large`
 */
export async function startJob(engine: Temporal, job: JobName, spec: JobSpec, order: Order): Promise<StartResult> {
  return start(engine, await startRequest(engine, job, spec, order));
}

/**
 * Starts the workflow of a job that has run without Temporal, and closes at once; or finds the run that its name has. May be
 * repeated: it is there once.
 * @throws Problem `temporal-unavailable` when it isn't known whether it started
 */
export async function startEnded(
  engine: Temporal,
  { job, spec, run, memo }: EndedJob,
  order: Order,
): Promise<StartResult> {
  const request = await startRequest(engine, job, { ...spec, when_finished: 'return' }, order, { run, memo });
  return start(engine, request);
}

async function start(engine: Temporal, request: StartRequest): Promise<StartResult> {
  await engine.ensureSearchAttributes();
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
  { tenantLimit, tenantWeights }: Order,
  ended?: Pick<EndedJob, 'run' | 'memo'>,
): Promise<StartRequest> {
  const input: JobInput = {
    tenant: job.tenant,
    playbook_name: job.playbookName,
    name: job.name,
    spec,
    ...(tenantLimit !== undefined && { tenant_limit: tenantLimit }),
    ...(ended !== undefined && { foreground: ended.run }),
  };
  const memo = { ...memoAtStart(input), ...(ended !== undefined && { foreground: ended.memo }) };
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
    requestId: ended?.memo.run_id ?? randomUUID(),
    workflowId,
    workflowType: { name: jobWorkflowType },
    taskQueue: { name: sharedTaskQueue },
    input: { payloads },
    memo: { fields: await encodeMapToPayloads<string>(converter, memo) },
    workflowIdConflictPolicy: WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
    workflowIdReusePolicy: reusePolicy(spec.when_finished),
    workflowTaskTimeout: msToTs(workflowTaskTimeoutMs),
    searchAttributes: { indexedFields: encodeUnifiedSearchAttributes(attributesAtStart(input)) },
    priority: {
      priorityKey: spec.priority,
      fairnessKey: job.tenant.slice(0, 64),
      fairnessWeight: tenantWeights.get(job.tenant) ?? 1,
    },
    userMetadata: {
      summary: (await encodeToPayloads(converter, `${titleOf(spec)} (${job.name})`))?.[0] ?? null,
      details: (await encodeToPayloads(converter, askedFor(spec)))?.[0] ?? null,
    },
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
