import { z } from 'zod';
import { FailureKind } from './failure.js';

const tenYears = 10 * 365 * 24 * 3600;

/** When a job that failed is started again: `backoff` in seconds, its last entry repeats. */
export const RetryPolicy = z
  .strictObject({
    max_attempts: z.int().min(1).max(20).default(3),
    backoff: z.array(z.number().min(0).max(tenYears)).min(1).max(100).default([30, 60]),
    on: z.array(FailureKind).max(20).default(['lost', 'launch']),
  })
  .describe('When a failed attempt is followed by another; backoff in seconds, the last entry repeats');
export type RetryPolicy = z.infer<typeof RetryPolicy>;

/**
 * How long to wait, in milliseconds, before the attempt that follows `attempt` (1 is the first);
 * undefined when no further one is due.
 */
export function backoffBeforeNext(policy: RetryPolicy, attempt: number, kind: FailureKind): number | undefined {
  if (attempt >= policy.max_attempts || !policy.on.includes(kind)) return undefined;
  const seconds = policy.backoff[Math.min(attempt, policy.backoff.length) - 1] ?? 0;
  return Math.round(seconds * 1000);
}
