import { z } from '@hono/zod-openapi';
import { all } from '../../job/visibility.js';
import type { Temporal } from '../temporal/connection.js';
import { countByExecutionStatus, countRuns } from '../temporal/listed-runs.js';
import { canceledElsewhere, closedWords, hasStatus } from './status.js';

const Count = z.int().min(0);

/** How many runs there are of each status. */
export const JobCounts = z
  .object({
    pending: Count,
    running: Count,
    canceling: Count,
    successful: Count,
    failed: Count,
    canceled: Count,
    total: Count,
  })
  .meta({ id: 'JobCounts' });
export type JobCounts = z.infer<typeof JobCounts>;

/** Counts the runs that `query` finds. Visibility counts by its own statuses; what is finer is asked for. */
export async function countsOf(engine: Temporal, query: string): Promise<JobCounts> {
  const [byExecution, pending, canceling, elsewhere] = await Promise.all([
    countByExecutionStatus(engine, query),
    countRuns(engine, all(query, hasStatus('pending'))),
    countRuns(engine, all(query, hasStatus('canceling'))),
    countRuns(engine, all(query, canceledElsewhere)),
  ]);
  const closed = (...ways: (keyof typeof closedWords)[]): number =>
    ways.reduce((sum, way) => sum + (byExecution.get(closedWords[way]) ?? 0), 0);
  const total = [...byExecution.values()].reduce((sum, count) => sum + count, 0);
  const successful = closed('completed');
  const canceled = closed('canceled', 'terminated') + elsewhere;
  const failed = closed('failed', 'timed_out', 'other') - elsewhere;
  // A job may start to run between the counts.
  const running = Math.max(0, total - successful - canceled - failed - pending - canceling);
  return { pending, running, canceling, successful, failed, canceled, total };
}
