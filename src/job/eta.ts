import { z } from 'zod';

/** How long a successful run of a playbook took, and the shares of that time at which 10, 20, ... 90 percent were shown. */
export const PastRun = z.object({
  seconds: z.number().positive(),
  reached: z.array(z.number().min(0).max(1)).length(9),
});
export type PastRun = z.infer<typeof PastRun>;

/** Where a run is. */
export interface Pace {
  /** From 0 to 99, as shown; null counts as 0. */
  percent: number | null;
  /** The seconds since its start. */
  elapsed: number;
}

/**
 * The seconds that a run likely still takes; undefined if there are no earlier ones. At first it is what earlier runs took
 * from here on; the further it has come, the more its own pace counts.
 */
export function secondsLeft(past: PastRun[], { percent, elapsed }: Pace): number | undefined {
  if (past.length === 0) return undefined;
  const usual = median(past.map(({ seconds }) => seconds));
  const reached = Array.from({ length: 9 }, (_, index) => median(past.map((run) => run.reached[index] ?? 0)));
  const shares = [0, ...reached, 1];
  const shown = percent ?? 0;
  // Within one percent, the time tells how far it is; beyond, the percent does.
  const share = Math.min(Math.max(elapsed / usual, shareAt(shares, shown)), shareAt(shares, shown + 1));
  const byPast = (1 - share) * usual;
  if (share === 0) return byPast;
  const byPace = (elapsed / share) * (1 - share);
  return (1 - share) * byPast + share * byPace;
}

/** The share of the time at a percentage, between two known ones. */
function shareAt(shares: number[], percent: number): number {
  const lower = Math.min(9, Math.floor(percent / 10));
  const [from = 0, to = 1] = [shares[lower], shares[lower + 1]];
  return from + (to - from) * (percent / 10 - lower);
}

function median(values: number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  const [upper = 0, lower = 0] = [sorted[middle], sorted[middle - 1]];
  return sorted.length % 2 === 1 ? upper : (lower + upper) / 2;
}
