/** How hard the random tests are: short and seeded in `npm test`, in full with `npm run chaos`. */
export interface Chaos {
  rounds: number;
  seed: number;
}

/** Rounds and seed of a test; CHAOS_ROUNDS and CHAOS_SEED decide, a failure's message names the seed to repeat it. */
export function chaos(rounds: number): Chaos {
  return { rounds: Number(process.env['CHAOS_ROUNDS'] ?? rounds), seed: Number(process.env['CHAOS_SEED'] ?? 20_261_122) };
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
