import { parseWorkflowId, stepsPrefixOf, workflowIdOf, type JobName } from '../../job/names.js';
import { equals, startsWith } from '../../job/visibility.js';
import type { Temporal } from './connection.js';

/** A run as visibility has it. */
interface Found {
  workflowId: string;
  runId: string;
  start: number;
}

/** The ids of a job's runs as Temporal's visibility has them, newest first. One that has just started may not be in it yet. */
export async function runIdsOf(engine: Temporal, job: JobName): Promise<string[]> {
  const runs = await find(engine, equals('WorkflowId', workflowIdOf(job)));
  return runs.sort((one, other) => other.start - one.start).map(({ runId }) => runId);
}

/** The runs of all steps of all runs of a job, likewise. */
export async function stepRunsOf(engine: Temporal, job: JobName): Promise<{ job: JobName; runId: string }[]> {
  const runs = await find(engine, startsWith('WorkflowId', stepsPrefixOf(job)));
  return runs.flatMap(({ workflowId, runId }) => {
    const name = parseWorkflowId(workflowId);
    return name?.step === undefined ? [] : [{ job: name, runId }];
  });
}

async function find(engine: Temporal, query: string): Promise<Found[]> {
  const { namespace } = engine;
  const found: Found[] = [];
  let nextPageToken: Uint8Array | undefined;
  do {
    const request = { namespace, query, pageSize: 1000, ...(nextPageToken !== undefined && { nextPageToken }) };
    const page = await engine.call((service) => service.listWorkflowExecutions(request));
    for (const { execution, startTime } of page.executions) {
      const { workflowId, runId } = execution ?? {};
      if (workflowId == null || runId == null) continue;
      found.push({ workflowId, runId, start: Number(startTime?.seconds ?? 0) + (startTime?.nanos ?? 0) / 1e9 });
    }
    nextPageToken = page.nextPageToken.length > 0 ? page.nextPageToken : undefined;
  } while (nextPageToken !== undefined);
  return found;
}
