import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { createRandom } from "../../src/core/random.ts";

// xoshiro128** and splitmix32 again, in whole numbers without bounds: slow, and written from the authors' C.

const WORD = (1n << 32n) - 1n;
const rotate = (x: bigint, k: bigint): bigint => ((x << k) | (x >> (32n - k))) & WORD;

function* xoshiro(state: bigint[]): Generator<bigint> {
  const s = [...state];
  while (true) {
    yield (rotate((s[1]! * 5n) & WORD, 7n) * 9n) & WORD;
    const t = (s[1]! << 9n) & WORD;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = rotate(s[3]!, 11n);
  }
}

/** Four words from a seed; the high half of a large one changes the increment. */
function splitmix(seed: bigint): bigint[] {
  let mix = seed & WORD;
  const high = (seed >> 32n) & WORD;
  return Array.from({ length: 4 }, () => {
    mix = (mix + 0x9e3779b9n + high * 0x85ebca6bn) & WORD;
    let z = mix;
    z = ((z ^ (z >> 16n)) * 0x21f0aaadn) & WORD;
    z = ((z ^ (z >> 15n)) * 0x735a2d97n) & WORD;
    return z ^ (z >> 15n);
  });
}

const take = <T>(stream: Iterator<T>, count: number): T[] => Array.from({ length: count }, () => stream.next().value!);

Deno.test("the oracle gives the known answers of the authors' C, from the state 1, 2, 3, 4", () => {
  const known = [11520n, 0n, 5927040n, 70819200n, 2031721883n, 1637235492n, 1287239034n, 3734860849n, 3729100597n];
  assertEquals(take(xoshiro([1n, 2n, 3n, 4n]), 9), known);
});

Deno.test("uniform() is xoshiro128** from a splitmix32 state, 53 bits of two words", () => {
  for (
    const seed of [0, 1, 2, 42, 2 ** 31, 2 ** 32 - 1, 2 ** 32 + 1, 2 ** 40 + 7, Number.MAX_SAFE_INTEGER, -1, -12345]
  ) {
    const random = createRandom(seed);
    const words = xoshiro(splitmix(BigInt(seed)));
    for (let i = 0; i < 100; i++) {
      const [first, second] = take(words, 2) as [bigint, bigint];
      const bits = ((first >> 5n) << 26n) | (second >> 6n);
      assertEquals(random.uniform(), Number(bits) / 2 ** 53, `seed ${seed}, number ${i}`);
    }
  }
});

Deno.test("normal() is Box and Muller's of two uniforms", () => {
  const [a, b] = [createRandom(3), createRandom(3)];
  for (let i = 0; i < 100; i++) {
    const [u, v] = [b.uniform(), b.uniform()];
    assertAlmostEquals(a.normal(), Math.sqrt(-2 * Math.log(1 - u)) * Math.cos(2 * Math.PI * v), 1e-12);
  }
});

Deno.test("seeds: the same gives the same stream, others differ, also by their high halves", () => {
  const first = (seed: number): number => createRandom(seed).uniform();
  assertEquals(first(7), first(7));
  const seeds = [0, 1, 2, 3, -1, -2, 2 ** 32, 2 ** 32 + 1, 2 ** 33, 2 ** 52];
  assertEquals(new Set(seeds.map(first)).size, seeds.length);
  // Neighbouring seeds are not neighbouring streams.
  const mean = Array.from({ length: 4000 }, (_, seed) => first(seed)).reduce((a, b) => a + b) / 4000;
  assertAlmostEquals(mean, 0.5, 5 / Math.sqrt(12 * 4000));
  for (const seed of [0.5, NaN, Infinity, 2 ** 53]) {
    assertThrows(() => createRandom(seed), RangeError, "Cannot seed: seed must be a whole number, got");
  }
});

/** Mean of `fn` over a stream, and how many standard errors it is off. */
function check(count: number, draw: () => number, fn: (v: number) => number, mean: number, deviation: number): void {
  let total = 0;
  for (let i = 0; i < count; i++) total += fn(draw());
  // The seeds are fixed: five standard errors fail for a wrong distribution, not by chance.
  const off = (total / count - mean) / (deviation / Math.sqrt(count));
  assert(Math.abs(off) < 5, `${fn} is off by ${off} standard errors`);
}

Deno.test("uniform() has the moments of the uniform distribution, and no serial correlation", () => {
  const random = createRandom(11);
  const values = Float64Array.from({ length: 200000 }, () => random.uniform());
  assert(values.every((value) => value >= 0 && value < 1));
  const draw = values.values();
  const next = (): number => draw.next().value!;
  check(50000, next, (v) => v, 1 / 2, Math.sqrt(1 / 12));
  check(50000, next, (v) => v * v, 1 / 3, Math.sqrt(4 / 45));
  check(50000, next, (v) => v ** 3, 1 / 4, Math.sqrt(9 / 112));
  let product = 0;
  for (let i = 1; i < values.length; i++) product += (values[i]! - 0.5) * (values[i - 1]! - 0.5);
  assert(Math.abs(product / values.length) < 5 / (12 * Math.sqrt(values.length)));
  // Chi squared over 64 cells, 63 degrees of freedom: 5 deviations above the mean.
  const cells = new Float64Array(64);
  for (const value of values) cells[Math.floor(value * 64)]!++;
  const chi = cells.reduce((sum, count) => sum + (count - values.length / 64) ** 2 / (values.length / 64), 0);
  assert(chi > 20 && chi < 63 + 5 * Math.sqrt(126), `chi squared ${chi}`);
});

Deno.test("normal() has the moments and tails of the normal distribution", () => {
  const random = createRandom(12);
  check(100000, random.normal, (v) => v, 0, 1);
  check(100000, random.normal, (v) => v * v, 1, Math.sqrt(2));
  check(100000, random.normal, (v) => v ** 3, 0, Math.sqrt(15));
  check(100000, random.normal, (v) => v ** 4, 3, Math.sqrt(96));
  check(100000, random.normal, (v) => (Math.abs(v) > 1.959964 ? 1 : 0), 0.05, Math.sqrt(0.05 * 0.95));
  for (let i = 0; i < 1000; i++) assert(Number.isFinite(random.normal()));
});
