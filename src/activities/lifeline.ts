import { Context } from '@temporalio/activity';
import type { RunHeartbeat } from '../job/protocol.js';

/** How an activity tells Temporal that it lives, and learns that it is to stop watching. */
export interface Lifeline {
  /** Tells what is new; goes out at once if it is the first, else as the SDK throttles it. */
  tell(details: RunHeartbeat): void;
  /** Aborts when this worker shuts down or Temporal has given the activity up. Nothing of the attempt ends by it. */
  signal: AbortSignal;
}

/** Runs `work` with heartbeats that repeat what was told last, four times within the heartbeat timeout. */
export async function withLifeline<T>(heartbeatTimeoutMs: number, work: (lifeline: Lifeline) => Promise<T>): Promise<T> {
  const context = Context.current();
  let last: RunHeartbeat | undefined = context.info.heartbeatDetails as RunHeartbeat | undefined;
  const repeat = setInterval(() => {
    context.heartbeat(last);
  }, heartbeatTimeoutMs / 4);
  const tell = (details: RunHeartbeat): void => {
    if (JSON.stringify(details) === JSON.stringify(last)) return;
    last = details;
    context.heartbeat(details);
  };
  try {
    return await work({ tell, signal: context.cancellationSignal });
  } finally {
    clearInterval(repeat);
  }
}
