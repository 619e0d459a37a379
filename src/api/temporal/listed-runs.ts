import { decodeSearchAttributes } from '@temporalio/common/lib/converter/payload-search-attributes.js';
import { decodeMapFromPayloads } from '@temporalio/common/lib/internal-non-workflow/index.js';
import { requiredTsToDate } from '@temporalio/common/lib/time.js';
import type { temporal } from '@temporalio/proto';
import type { RunEvidence } from '../../job/evidence.js';
import { parseWorkflowId } from '../../job/names.js';
import type { JobMemo } from '../../job/protocol.js';
import type { Temporal } from './connection.js';
import { closedAs } from './describe.js';

/** A page of 500 keeps a busy server for seconds. */
const timeoutMs = 15_000;

type Execution = temporal.api.workflow.v1.IWorkflowExecutionInfo;

/** A run as visibility has it: a little behind the truth, and without what only its history tells. */
export interface ListedRun {
  run: RunEvidence;
  /** Its attribute `status`. */
  told: string | undefined;
}

/** A part of the runs that a query finds; visibility's order is open ones first, newest start first, then latest end first. */
export interface ListedPage {
  runs: ListedRun[];
  /** Where the next part begins; undefined after the last. */
  next: Uint8Array | undefined;
}

/** @param pageToken the `next` of an earlier page of the same query */
export async function listRuns(
  engine: Temporal,
  query: string,
  pageSize: number,
  pageToken?: Uint8Array,
): Promise<ListedPage> {
  const { namespace } = engine;
  const request = { namespace, query, pageSize, ...(pageToken !== undefined && { nextPageToken: pageToken }) };
  await engine.ensureSearchAttributes();
  const page = await engine.call((service) => service.listWorkflowExecutions(request), { timeoutMs });
  const runs = await Promise.all(page.executions.map((execution) => listedRun(engine, execution)));
  return {
    runs: runs.filter((run) => run !== undefined),
    next: page.nextPageToken.length > 0 ? page.nextPageToken : undefined,
  };
}

/** How many runs a query finds. */
export async function countRuns(engine: Temporal, query: string): Promise<number> {
  const { namespace } = engine;
  await engine.ensureSearchAttributes();
  const { count } = await engine.call((service) => service.countWorkflowExecutions({ namespace, query }), {
    timeoutMs,
  });
  return Number(count);
}

/** How many of each `ExecutionStatus` a query finds, by visibility's words for them. */
export async function countByExecutionStatus(engine: Temporal, query: string): Promise<Map<string, number>> {
  const request = { namespace: engine.namespace, query: `${query} GROUP BY ExecutionStatus` };
  await engine.ensureSearchAttributes();
  const { groups } = await engine.call((service) => service.countWorkflowExecutions(request), { timeoutMs });
  const counts = groups.map(({ groupValues, count }) => {
    const word = JSON.parse(Buffer.from(groupValues?.[0]?.data ?? []).toString()) as string;
    return [word, Number(count)] as const;
  });
  return new Map(counts);
}

async function listedRun(engine: Temporal, info: Execution): Promise<ListedRun | undefined> {
  const job = parseWorkflowId(info.execution?.workflowId ?? '');
  const runId = info.execution?.runId;
  // Somebody else's workflow with attributes of ours.
  if (job === undefined || runId == null) return undefined;
  const memo: Partial<JobMemo> = (await decodeMapFromPayloads(engine.converter, info.memo?.fields)) ?? {};
  const told = decodeSearchAttributes(info.searchAttributes?.indexedFields).status?.[0];
  const as = closedAs(info.status);
  const closed =
    as === null
      ? null
      : {
          as,
          at: requiredTsToDate(info.closeTime, 'closeTime').toISOString(),
          reason: as === 'terminated' ? 'its document says why' : null,
          continuedBy: null,
        };
  const run: RunEvidence = {
    job,
    runId,
    evidenceRunId: memo.foreground?.run_id ?? runId,
    createdAt: memo.foreground?.created_at ?? requiredTsToDate(info.startTime, 'startTime').toISOString(),
    closed,
    cancelRequested: false,
    memo,
    activities: [],
    failingTask: null,
  };
  return { run, told: typeof told === 'string' ? told : undefined };
}
