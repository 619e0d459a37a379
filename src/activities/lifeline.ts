import { setMaxListeners } from 'node:events';
import { Context } from '@temporalio/activity';
import type { RunHeartbeat } from '../job/protocol.js';

/** How an activity tells Temporal that it lives, and learns that it is to stop watching. */
export interface Lifeline {
  /**
   * Tells what is new: at once when it has started, begins another play, is in an unusual state or has come further on one of its target
   * hosts, else with the next regular heartbeat.
   */
  tell(details: RunHeartbeat): void;
  /** Aborts when this worker shuts down or Temporal has given the activity up. Nothing of the attempt ends by it. */
  signal: AbortSignal;
}

/** What the activity told last, also by an earlier worker; undefined if it has not told anything. */
export function lastTold(): RunHeartbeat | undefined {
  return Context.current().info.heartbeatDetails as RunHeartbeat | undefined;
}

/** Whether so much is new that it must not wait. */
function isAnother(last: RunHeartbeat | undefined, told: RunHeartbeat): boolean {
  if (last?.started_at !== told.started_at || last.play !== told.play || last.unusual !== told.unusual) return true;
  const { targets = {} } = told;
  if (hostsAway(last) !== hostsAway(told) || last.ended?.length !== told.ended?.length) return true;
  return Object.keys(targets).some((host) => last.targets?.[host]?.status !== targets[host]?.status);
}

function hostsAway({ unreachable = {}, unclear = {} }: RunHeartbeat): string {
  return JSON.stringify([unreachable, unclear].map(Object.keys));
}

/** Runs `work` with heartbeats that repeat what was told last, every `intervalMs`. */
export async function withLifeline<T>(intervalMs: number, work: (lifeline: Lifeline) => Promise<T>): Promise<T> {
  const context = Context.current();
  // One for each host that is watched is no leak.
  setMaxListeners(0, context.cancellationSignal);
  let last = lastTold();
  const repeat = setInterval(() => {
    context.heartbeat(last);
  }, intervalMs);
  const tell = (details: RunHeartbeat): void => {
    const isMilestone = isAnother(last, details);
    last = details;
    if (isMilestone) context.heartbeat(details);
  };
  try {
    return await work({ tell, signal: context.cancellationSignal });
  } finally {
    clearInterval(repeat);
  }
}
