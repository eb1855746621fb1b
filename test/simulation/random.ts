/** Seeded chance: the same seed gives the same world. */
export interface Chance {
  /** From [0, 1). */
  next(): number;
  /** Whole number from `min` to `max`, both included. */
  between(min: number, max: number): number;
  /** True with the given probability. */
  happens(probability: number): boolean;
  /** One of the options. */
  pick<T>(options: readonly [T, ...T[]]): T;
}

export function createChance(seed: number): Chance {
  const next = mulberry32(seed);
  const between = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));
  return {
    next,
    between,
    happens: (probability) => next() < probability,
    pick: (options) => options[between(0, options.length - 1)] ?? options[0],
  };
}

/** Mulberry32 by Tommy Ettinger (public domain): 32 bits of state, good enough to shuffle a test world. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
