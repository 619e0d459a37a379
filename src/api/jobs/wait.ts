import type { JobName } from '../../job/names.js';
import type { ApiContext } from '../context.js';
import { untilClosed } from '../temporal/close.js';

/**
 * Waits until a run has closed, its time is over, the client is gone or the service ends.
 * @param client aborts when the client is gone
 */
export async function waitForEnd(
  { temporal, foreground, ending }: ApiContext,
  job: JobName,
  runId: string,
  waitMs: number,
  client: AbortSignal,
): Promise<void> {
  const wait = new AbortController();
  const stop = (): void => {
    wait.abort();
  };
  const reasons = [client, ending];
  for (const reason of reasons) reason.addEventListener('abort', stop);
  try {
    if (reasons.some(({ aborted }) => aborted)) return;
    // One in the foreground has its name for its run id.
    if (runId === job.name) await foreground.untilEnded(job, waitMs, wait.signal);
    else await untilClosed(temporal, job, runId, waitMs, wait.signal);
  } finally {
    for (const reason of reasons) reason.removeEventListener('abort', stop);
  }
}
