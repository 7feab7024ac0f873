// The synthetic task: what its definition says, and that the cuts do not matter.

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  drawSigns,
  encodeSymbols,
  pieces,
  type SymbolPiece,
  symbolPieces,
  type TaskOptions,
} from "../../examples/lib/first_element_task.ts";

/** All steps of all sequences, `(B, T, p)`, put together of pieces. */
function collect(options: TaskOptions): Float32Array {
  const { time, batch, features = 128 } = options;
  const all = new Float32Array(batch * time * features);
  let reached = 0;
  for (const { first, xs: { data, shape: [B, W, p] } } of pieces(options)) {
    assertEquals([first, B, p], [reached, batch, features]);
    assert(W! > 0 && W! <= (options.piece ?? time), `${W} steps`);
    for (let b = 0; b < batch; b++) {
      all.set(data.subarray(b * W! * features, (b + 1) * W! * features) as Float32Array, (b * time + first) * features);
    }
    reached += W!;
  }
  assertEquals(reached, time);
  return all;
}

/** The symbols in one piece. */
function allSymbols(options: TaskOptions): SymbolPiece["symbols"] {
  const [whole, ...rest] = [...symbolPieces(options)];
  assertEquals(rest, []);
  return whole!.symbols;
}

Deno.test("first element: ±e_1 first, then one-hot vectors", () => {
  const options = { time: 50, batch: 20, features: 7, seed: 3, piece: 8 };
  const xs = collect(options);
  const signs = drawSigns(options);
  for (let b = 0; b < 20; b++) {
    for (let t = 0; t < 50; t++) {
      const x = Array.from(xs.subarray((b * 50 + t) * 7, (b * 50 + t + 1) * 7));
      const expected = t === 0 ? [signs[b], 0, 0, 0, 0, 0, 0] : Array.from(x, (value) => value === 1 ? 1 : 0);
      assertEquals(x, expected, `sequence ${b}, step ${t}`);
      assertEquals(x.filter((value) => value !== 0).length, 1, `sequence ${b}, step ${t}`);
    }
  }
});

Deno.test("first element: signs and symbols are uniform and independent", () => {
  const [batch, time, features] = [2000, 41, 16];
  const options = { time, batch, features, seed: 1 };
  const plus = drawSigns(options).filter((sign) => sign === 1).length;
  // Four standard deviations of a fair coin thrown 2000 times.
  assert(Math.abs(plus - batch / 2) < 4 * Math.sqrt(batch) / 2, `${plus} of ${batch} are positive`);
  const { data } = allSymbols(options);
  const counts = new Float64Array(features);
  const pairs = new Float64Array(features * features);
  for (let b = 0; b < batch; b++) {
    for (let t = 1; t < time; t++) {
      counts[data[b * time + t]!]!++;
      if (t % 2 === 0) pairs[data[b * time + t - 1]! * features + data[b * time + t]!]!++;
    }
  }
  const chiSquare = (observed: Float64Array, expected: number): number =>
    observed.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  // Chi-square of k degrees of freedom has mean k and variance 2 k: five standard deviations above.
  const bound = (k: number): number => k + 5 * Math.sqrt(2 * k);
  assert(chiSquare(counts, batch * (time - 1) / features) < bound(features - 1));
  assert(chiSquare(pairs, batch * (time - 1) / 2 / features ** 2) < bound(features ** 2 - 1));
  // The sign says nothing about the noise: the first symbol after it, for sequences of either sign.
  const signs = drawSigns(options);
  const table = new Float64Array(2 * features);
  for (let b = 0; b < batch; b++) table[(signs[b] === 1 ? features : 0) + data[b * time + 1]!]!++;
  assert(chiSquare(table, batch / 2 / features) < bound(2 * features - 1));
});

Deno.test("first element: the same sequences whatever the pieces, the batch, and the form", () => {
  const options = { time: 100, batch: 3, features: 5, seed: 7 };
  const whole = collect(options);
  for (const piece of [1, 2, 7, 99, 100, 1000]) {
    assertEquals(collect({ ...options, piece }), whole, `pieces of ${piece}`);
  }
  assertEquals(collect({ ...options, batch: 5 }).subarray(0, whole.length), whole);
  assertEquals(collect({ ...options, time: 40, batch: 1 }), whole.subarray(0, 40 * 5));
  const signs = drawSigns(options);
  for (const { first, symbols } of symbolPieces({ ...options, piece: 30 })) {
    assertEquals(symbols.shape, [3, Math.min(30, 100 - first)]);
    const encoded = encodeSymbols(symbols, 5, first === 0 ? signs : undefined);
    for (const [i, value] of encoded.data.entries()) {
      const [b, rest] = [Math.floor(i / (symbols.shape[1]! * 5)), i % (symbols.shape[1]! * 5)];
      assertEquals(value, whole[(b * 100 + first) * 5 + rest]);
    }
  }
});

Deno.test("first element: another seed gives other sequences, no sequence is another's", () => {
  const options = { time: 30, batch: 4, features: 128, seed: 0 };
  const rows = (seed: number): string[] => {
    const { data } = allSymbols({ ...options, seed });
    return Array.from({ length: 4 }, (_, b) => String(data.subarray(b * 30, (b + 1) * 30)));
  };
  assertEquals(rows(0), rows(0));
  assertEquals(new Set([0, 1, 2, 3, 4].flatMap(rows)).size, 20);
});

Deno.test("first element: a sequence of a million steps is never held as a whole", () => {
  let [count, largest] = [0, 0];
  for (const { xs: { data } } of pieces({ time: 1 << 20, batch: 1, features: 4, piece: 4096 })) {
    largest = Math.max(largest, data.length);
    count++;
  }
  assertEquals([count, largest], [256, 4096 * 4]);
});

Deno.test("first element: sizes that make no task are refused; a sequence without steps is none", () => {
  assertEquals([...pieces({ time: 0, batch: 2 })], []);
  const good = { time: 10, batch: 2 };
  for (const wrong of [{ time: -1 }, { time: 1.5 }, { batch: -1 }, { features: 0 }, { piece: 0 }, { piece: NaN }]) {
    const [[name]] = Object.entries(wrong) as [[string, number]];
    assertThrows(() => [...pieces({ ...good, ...wrong })], RangeError, `Cannot make the task: ${name} must be a whole`);
  }
});
