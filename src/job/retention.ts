/** How long finished jobs are kept. All in seconds. */

/** Temporal keeps a closed run this long in the embedded set-up. */
export const embeddedRetentionSeconds = 30 * 24 * 3600;

/** How long a job is kept that asks for no `ttl`, where Temporal's retention allows it. */
export const defaultTtlSeconds = 24 * 3600;

/**
 * The longest `ttl` where Temporal keeps closed runs for `retention`. What is left between the two is for the clean-up, which
 * takes a job's latest run last; Temporal itself drops them in any order.
 */
export function longestTtl(retention: number): number {
  return Math.max(1, Math.floor(retention - Math.min(3600, retention / 10)));
}
