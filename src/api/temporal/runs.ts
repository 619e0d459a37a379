import { workflowIdOf, type JobName } from '../../job/names.js';
import { equals } from '../../job/visibility.js';
import type { Temporal } from './connection.js';

/** The ids of a job's runs as Temporal's visibility has them, newest first. One that has just started may not be in it yet. */
export async function runIdsOf(engine: Temporal, job: JobName): Promise<string[]> {
  const { namespace } = engine;
  const query = equals('WorkflowId', workflowIdOf(job));
  const runs: { runId: string; start: number }[] = [];
  let nextPageToken: Uint8Array | undefined;
  do {
    const request = { namespace, query, pageSize: 1000, ...(nextPageToken !== undefined && { nextPageToken }) };
    const page = await engine.call((service) => service.listWorkflowExecutions(request));
    for (const { execution, startTime } of page.executions) {
      if (execution?.runId != null)
        runs.push({ runId: execution.runId, start: Number(startTime?.seconds ?? 0) + (startTime?.nanos ?? 0) / 1e9 });
    }
    nextPageToken = page.nextPageToken.length > 0 ? page.nextPageToken : undefined;
  } while (nextPageToken !== undefined);
  return runs.sort((one, other) => other.start - one.start).map(({ runId }) => runId);
}
