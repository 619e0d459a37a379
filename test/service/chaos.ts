import { execFileSync } from 'node:child_process';
import { it } from 'vitest';

const inFull = process.env.CHAOS === 'full';

/** How hard the random tests are: short and seeded in `npm test`, in full with `npm run chaos`. */
export interface Chaos {
  rounds: number;
  seed: number;
}

/** How many rounds a test has in `npm test` and in full, and the seed by which a failure can be repeated (CHAOS_SEED). */
export function chaos(rounds: number, full: number): Chaos {
  return {
    rounds: inFull ? full : rounds,
    seed: Number(process.env.CHAOS_SEED ?? 20_261_122),
  };
}

/** What `npm test` leaves out of the long tests is for each commit something else, and for one commit always the same. */
const choiceSeed = Number(process.env.CHAOS_SEED ?? Number.parseInt(commit().slice(0, 8), 16));
/** The share that is run of those tests that take long. */
const alsoShare = 0.15;

/**
 * `it` for what takes long and is one way more to something that others test: `npm test` has a share of these. The
 * others are there, but not run: for Vitest a `describe` without any test is a failure.
 */
export function also(title: string, body: () => Promise<void>, timeout?: number): void {
  it.runIf(inFull || randomFor(title)() < alsoShare)(title, body, timeout);
}

/** All cases in full, else a choice of so many, in their order. @param salt for another choice than others make */
export function someOf<T>(count: number, cases: readonly T[], salt = ''): T[] {
  const random = randomFor(salt);
  const chosen = cases
    .map((_, index) => ({ index, rank: random() }))
    .sort((one, other) => one.rank - other.rank)
    .slice(0, inFull ? cases.length : count)
    .map(({ index }) => index);
  return cases.filter((_, index) => chosen.includes(index));
}

function randomFor(text: string): () => number {
  return seeded(Buffer.from(text).reduce((sum, byte) => (sum * 31 + byte) | 0, choiceSeed));
}

/** Of the repository as it is checked out; always the same where it is none. */
function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return '0badcafe';
  }
}

/** A small seeded generator (mulberry32) of numbers in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One of `choices`. */
export function pick<T>(random: () => number, choices: readonly T[]): T {
  return choices[Math.floor(random() * choices.length)] as T;
}
