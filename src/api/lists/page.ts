import { grpc, hasGrpcCode, type Temporal } from '../temporal/connection.js';
import { listRuns, type ListedPage, type ListedRun } from '../temporal/listed-runs.js';
import { decodeCursor, encodeCursor, invalidCursor, markOf, type Cursor } from './cursor.js';

/** How far the clocks of Temporal and the API, and visibility and the truth, may be apart. */
const toleranceMs = 5 * 60_000;

/** One page of a list. */
export interface Page {
  runs: ListedRun[];
  /** Null after the last page. */
  nextCursor: string | null;
}

/**
 * A page of the runs that `query` finds. Visibility goes on after the place where a page ended, and a run that ends moves
 * from the open ones behind that place to the beginning of the ended: one that was not yet delivered is met there, and one that
 * was is known by the cursor.
 * @throws Problem `invalid-request` for a cursor of another query
 */
export async function pageOf(engine: Temporal, query: string, limit: number, from: string | undefined): Promise<Page> {
  const cursor = from === undefined ? { begunAt: Date.now(), delivered: [] } : decodeCursor(from, query);
  const { runs, next } = await listFrom(engine, query, limit, cursor);
  const known = new Set(cursor.delivered);
  return {
    runs: runs.filter(({ run }) => !known.has(markOf(run.runId))),
    nextCursor:
      next === undefined
        ? null
        : encodeCursor({ ...cursor, pageToken: next, delivered: delivered(cursor, runs) }, query),
  };
}

async function listFrom(
  engine: Temporal,
  query: string,
  limit: number,
  { pageToken }: Partial<Cursor>,
): Promise<ListedPage> {
  try {
    return await listRuns(engine, query, limit, pageToken);
  } catch (error) {
    // Somebody made up a place that Temporal doesn't understand.
    const isRefusal = hasGrpcCode(error, grpc.UNKNOWN) || hasGrpcCode(error, grpc.INVALID_ARGUMENT);
    if (pageToken === undefined || !isRefusal) throw error;
    const problem = invalidCursor();
    problem.cause = error;
    throw problem;
  }
}

/** The open runs that were delivered, as long as the list can come to one of them again. */
function delivered({ begunAt, delivered: before }: Pick<Cursor, 'begunAt' | 'delivered'>, runs: ListedRun[]): string[] {
  const endOfLast = runs.at(-1)?.run.closed?.at;
  // What follows ended before the list was begun.
  if (endOfLast !== undefined && Date.parse(endOfLast) < begunAt - toleranceMs) return [];
  const open = runs.filter(({ run }) => run.closed === null);
  return [...before, ...open.map(({ run }) => markOf(run.runId))];
}
