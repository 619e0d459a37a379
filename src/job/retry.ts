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
