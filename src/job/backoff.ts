import type { FailureKind } from './failure.js';
import type { RetryPolicy } from './retry.js';

/**
 * How long to wait, in milliseconds, before the attempt that follows `attempt` (1 is the first);
 * undefined when no further one is due.
 */
export function backoffBeforeNext(policy: RetryPolicy, attempt: number, kind: FailureKind): number | undefined {
  if (attempt >= policy.max_attempts || !policy.on.includes(kind)) return undefined;
  const seconds = policy.backoff[Math.min(attempt, policy.backoff.length) - 1] ?? 0;
  return Math.round(seconds * 1000);
}
