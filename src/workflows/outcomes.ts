import type { Outcome } from '../job/outcome.js';

/** Silence is not death (R4): an activity is repeated until it answers, however long its node stays away. */
export const untilAnswered = { startToCloseTimeout: '3650 days', retry: { backoffCoefficient: 1 } } as const;

/** Canceled between two attempts: the times are those of the last one. */
export function canceledAfter({ rc, stats, tasks, targets, started_at, leftovers }: Outcome): Outcome {
  return {
    status: 'canceled',
    reason: 'before its next attempt',
    rc,
    stats,
    ...(tasks !== undefined && { tasks }),
    ...(targets !== undefined && { targets }),
    started_at,
    finished_at: now(),
    leftovers,
  };
}

export function neverStarted(): Outcome {
  return {
    status: 'canceled',
    reason: 'before it started',
    rc: null,
    stats: {},
    started_at: null,
    finished_at: now(),
    leftovers: [],
  };
}

export function now(): string {
  return new Date().toISOString();
}
