/** How hard the random tests are: short and seeded in `npm test`, in full with `npm run chaos`. */
export interface Chaos {
  rounds: number;
  seed: number;
}

/** How many rounds a test has in `npm test` and in full, and the seed by which a failure can be repeated (CHAOS_SEED). */
export function chaos(rounds: number, full: number): Chaos {
  return {
    rounds: process.env.CHAOS === 'full' ? full : rounds,
    seed: Number(process.env.CHAOS_SEED ?? 20_261_122),
  };
}

/** All cases in full, else a seeded choice of so many, in their order. @param salt for another choice than others make */
export function someOf<T>(count: number, cases: readonly T[], salt = ''): T[] {
  const { seed, rounds } = chaos(count, cases.length);
  const random = seeded(Buffer.from(salt).reduce((sum, byte) => sum * 31 + byte, seed));
  const chosen = cases
    .map((_, index) => ({ index, rank: random() }))
    .sort((one, other) => one.rank - other.rank)
    .slice(0, rounds)
    .map(({ index }) => index);
  return cases.filter((_, index) => chosen.includes(index));
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
