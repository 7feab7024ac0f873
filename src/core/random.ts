/** Where a stream of random numbers is: 128 bits as four whole numbers below 2³². */
export type RandomState = readonly [number, number, number, number];

/** A reproducible stream of random numbers. */
export interface Random {
  /** Uniform in [0, 1), with 53 random bits. */
  uniform(): number;
  /** Standard normal. */
  normal(): number;
  /** Where the stream is: one that is created from it goes on from here. */
  state(): RandomState;
}

/**
 * xoshiro128** seeded by splitmix32: the same seed gives the same stream on every machine and engine.
 * (Blackman & Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 2021, arXiv 1805.01407.)
 */
export function createRandom(seed: number | RandomState): Random {
  let [a, b, c, d] = Array.isArray(seed) ? seed as RandomState : seedState(seed as number);
  const next = (): number => {
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  const uniform = (): number => ((next() >>> 5) * 67108864 + (next() >>> 6)) / 9007199254740992;
  return {
    uniform,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    state: () => [a >>> 0, b >>> 0, c >>> 0, d >>> 0],
  };
}

function seedState(seed: number): RandomState {
  if (!Number.isSafeInteger(seed)) throw new RangeError(`Cannot seed: seed must be a whole number, got ${seed}`);
  let mix = seed >>> 0;
  // The high half of a large seed takes part too, so that 1 and 2^32 + 1 differ.
  const high = Math.floor(seed / 0x100000000) | 0;
  const state = new Uint32Array(4);
  for (let i = 0; i < 4; i++) {
    mix = (mix + 0x9e3779b9 + Math.imul(high, 0x85ebca6b)) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    state[i] = z ^ (z >>> 15);
  }
  return [...state] as unknown as RandomState;
}
