import { assertEquals } from "@std/assert";
import { type Device, engineOf } from "../../src/device.ts";
import type { MonoidKind, ScanJob } from "../../src/engine/engine.ts";
import { assertClose, host, numbers, read } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { memoryOf, tensor } from "../../src/tensor.ts";

// y[t] = a[t] y[t-1] + b[t] over every form of a, against a fold in plain loops over dense matrices, and for tiny T
// against the explicit sum of products of matrices.

type Matrix = number[][];
type Affine = readonly [a: Matrix, b: number[]];

const apply = (a: Matrix, v: readonly number[]): number[] =>
  a.map((row) => row.reduce((sum, entry, j) => sum + entry * v[j]!, 0));
const multiply = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((sum, entry, k) => sum + entry * b[k]![j]!, 0)));
const plus = (u: readonly number[], v: readonly number[]): number[] => u.map((value, i) => value + v[i]!);

/** A scan as data: `a` in the form of its monoid, and what that means as dense matrices. */
interface Spec {
  readonly monoid: MonoidKind;
  readonly batch: number;
  readonly time: number;
  readonly state: number;
  readonly block: number;
}

const wordsOf = ({ monoid, state, block }: Spec): number =>
  monoid === "scalar" ? 1 : monoid === "diagonal" ? state : monoid === "block" ? state * block : state * state;

/** The matrix that `words` stand for. */
function dense({ monoid, state, block }: Spec, words: ArrayLike<number>): Matrix {
  const size = monoid === "dense" ? state : monoid === "block" ? block : 1;
  return Array.from({ length: state }, (_, i) =>
    Array.from({ length: state }, (_, j) => {
      if (Math.floor(i / size) !== Math.floor(j / size)) return 0;
      return monoid === "scalar" ? words[0]! : words[i * size + j % size]!;
    }));
}

/** Random elements with spectral radii of about 0.6, so that states stay of size 1 for 65537 steps. */
function elements(spec: Spec, seed: number): { a: Float64Array; b: Float64Array; h0: Float64Array } {
  const { batch, time, state, block, monoid } = spec;
  const rowLength = monoid === "dense" ? state : monoid === "block" ? block : 1;
  return {
    a: numbers(batch * time * wordsOf(spec), 0.99 / rowLength ** 0.5, seed),
    b: numbers(batch * time * state, 1, seed + 1),
    h0: numbers(batch * state, 1, seed + 2),
  };
}

/** How a scan goes over its rows. */
interface Direction {
  readonly reverse: boolean;
  readonly adjoint: boolean;
}

const transpose = (a: Matrix): Matrix => a.map((row, i) => row.map((_, j) => a[j]![i]!));

/** The maps of sequence s in the order of the scan; an adjoint takes the matrix met before, transposed, first the identity. */
function* affines(
  spec: Spec,
  a: Float64Array,
  b: Float64Array,
  s: number,
  { reverse, adjoint }: Direction,
): Generator<[number, Affine]> {
  const { time, state } = spec;
  const words = wordsOf(spec);
  const unit = dense({ ...spec, monoid: "scalar" }, [1]);
  let before = unit;
  for (let r = 0; r < time; r++) {
    const t = reverse ? time - 1 - r : r;
    const row = s * time + t;
    const matrix = dense(spec, a.slice(row * words, (row + 1) * words));
    yield [row, [adjoint ? before : matrix, Array.from(b.slice(row * state, (row + 1) * state))]];
    before = transpose(matrix);
  }
}

const SPECS: readonly Omit<Spec, "time" | "batch">[] = [
  { monoid: "scalar", state: 3, block: 1 },
  { monoid: "diagonal", state: 1, block: 1 },
  { monoid: "diagonal", state: 5, block: 1 },
  { monoid: "block", state: 6, block: 2 },
  { monoid: "block", state: 6, block: 3 },
  { monoid: "dense", state: 1, block: 1 },
  { monoid: "dense", state: 2, block: 1 },
  { monoid: "dense", state: 4, block: 1 },
];

/** Those for which the CPU has code of its own: many channels, blocks too large for local names, and still larger ones. */
const LARGE: readonly Omit<Spec, "time" | "batch">[] = [
  { monoid: "scalar", state: 20, block: 1 },
  { monoid: "diagonal", state: 16, block: 1 },
  { monoid: "diagonal", state: 27, block: 1 },
  { monoid: "block", state: 20, block: 4 },
  { monoid: "block", state: 20, block: 10 },
  { monoid: "dense", state: 8, block: 1 },
  { monoid: "dense", state: 9, block: 1 },
  { monoid: "dense", state: 35, block: 1 },
];

/** In units of epsilon. States stay below 8; a step makes a few roundings of that size, which fade as the states do. */
const TOLERANCE = 64;

const DIRECTIONS: readonly Direction[] = [false, true].flatMap((reverse) =>
  [false, true].map((adjoint) => ({ reverse, adjoint }))
);
const formsOf = (specs: typeof SPECS) =>
  specs.flatMap((spec) =>
    DIRECTIONS.flatMap((direction) => [false, true].map((start) => ({ spec, direction, start })))
  );
const title = ({ monoid, time, state, block }: Spec, { reverse, adjoint }: Direction, start: boolean): string =>
  `${monoid}, T ${time}, D ${state}, blocks of ${block}${reverse ? ", reverse" : ""}${adjoint ? ", adjoint" : ""}` +
  (start ? "" : ", from zeros");

async function scanOn(device: Device, spec: Spec, direction: Direction, start: boolean, seed = 1) {
  const engine = engineOf(device);
  const { batch, time, state } = spec;
  const { a, b, h0 } = elements(spec, seed);
  const on = (data: Float64Array): ScanJob["a"] => memoryOf(tensor(device, host(data, [data.length])));
  const out = engine.allocate(engine.dtype, batch * time * state);
  engine.scan({ ...spec, a: on(a), b: on(b), h0: start ? on(h0) : null, out, ...direction });
  return { a, b, h0: start ? h0 : new Float64Array(batch * state), ys: Float64Array.from(await engine.read(out)) };
}

testOn(MACHINES, "scan: against a fold of dense matrices", async (device, { epsilon }) => {
  for (const { spec: form, direction, start } of formsOf([...SPECS, ...LARGE])) {
    for (const time of form.state < 10 ? [0, 1, 2, 3, 5, 10, 1000] : [1, 2, 40]) {
      const spec = { ...form, time, batch: 3 };
      const { a, b, h0, ys } = await scanOn(device, spec, direction, start);
      const expected = new Float64Array(ys.length);
      for (let s = 0; s < spec.batch; s++) {
        let y = Array.from(h0.slice(s * spec.state, (s + 1) * spec.state));
        for (const [row, [matrix, vector]] of affines(spec, a, b, s, direction)) {
          y = plus(apply(matrix, y), vector);
          expected.set(y, row * spec.state);
        }
      }
      assertClose(ys, expected, TOLERANCE * epsilon, title(spec, direction, start));
    }
  }
});

testOn(MACHINES, "scan: tiny T against the explicit products of matrices", async (device, { epsilon }) => {
  for (const { spec: form, direction, start } of formsOf(SPECS)) {
    for (const time of [1, 2, 3, 4]) {
      const spec = { ...form, time, batch: 2 };
      const { a, b, h0, ys } = await scanOn(device, spec, direction, start, 9);
      for (let s = 0; s < spec.batch; s++) {
        const all = [...affines(spec, a, b, s, direction)];
        for (const [k, [row]] of all.entries()) {
          // y[k] = A_k ... A_0 h0 + Σ_j A_k ... A_{j+1} b_j: later factors stand on the left.
          let total = new Array<number>(spec.state).fill(0);
          for (let j = -1; j <= k; j++) {
            const factors = all.slice(j + 1, k + 1).map(([, [matrix]]) => matrix);
            const vector = j < 0 ? Array.from(h0.slice(s * spec.state, (s + 1) * spec.state)) : all[j]![1][1];
            const power = factors.reduce<Matrix | undefined>(
              (left, next) => left ? multiply(next, left) : next,
              undefined,
            );
            total = plus(total, power ? apply(power, vector) : vector);
          }
          const actual = ys.slice(row * spec.state, (row + 1) * spec.state);
          assertClose(actual, total, TOLERANCE * epsilon, title(spec, direction, start));
        }
      }
    }
  }
});

testOn(MACHINES, "scan: 65537 steps", async (device, { epsilon }) => {
  for (const form of SPECS) {
    const spec = { ...form, time: 65537, batch: 1 };
    const direction = { reverse: form.state % 2 === 0, adjoint: form.state % 3 === 0 };
    const { a, b, h0, ys } = await scanOn(device, spec, direction, true, 3);
    const expected = new Float64Array(ys.length);
    let y = Array.from(h0);
    for (const [row, [matrix, vector]] of affines(spec, a, b, 0, direction)) {
      y = plus(apply(matrix, y), vector);
      expected.set(y, row * spec.state);
    }
    assertClose(ys, expected, TOLERANCE * epsilon, title(spec, direction, true));
  }
});

testOn(MACHINES, "scan: an integrator adds up exactly, forward and backward", async (device) => {
  // Whole numbers below 2^24: no rounding anywhere, whatever the order.
  const time = 4000;
  const engine = engineOf(device);
  const b = tensor(device, host(Array.from({ length: time }, (_, t) => t % 7 - 3), [time]));
  const a = tensor(device, host(new Float64Array(time).fill(1), [time]));
  for (const reverse of [false, true]) {
    const out = tensor(device, host(new Float64Array(time), [time]));
    const job = { a: memoryOf(a), b: memoryOf(b), h0: null, out: memoryOf(out), batch: 1, time, state: 1, reverse };
    engine.scan({ ...job, monoid: "scalar" });
    const ys = await read(out);
    const terms = Array.from({ length: time }, (_, t) => t % 7 - 3);
    if (reverse) terms.reverse();
    let total = 0;
    const sums = terms.map((term) => total += term);
    assertEquals(ys, Float64Array.from(reverse ? sums.reverse() : sums));
  }
});

testOn(MACHINES, "scan: an adjoint reads no matrix outside its sequence", async (device) => {
  // The last matrix of a sequence, met last, belongs to what comes after it; NaN there must stay there.
  const engine = engineOf(device);
  for (const { monoid, state, block } of [...SPECS, ...LARGE]) {
    for (const reverse of [false, true]) {
      const spec = { monoid, state, block, batch: 2, time: 3 };
      const { a, b } = elements(spec, 4);
      const words = wordsOf(spec);
      // Rows 0, 1, 2 | 3, 4, 5: those met last in each sequence.
      for (const row of reverse ? [0, 3] : [2, 5]) a.fill(NaN, row * words, (row + 1) * words);
      const on = (data: Float64Array): ScanJob["a"] => memoryOf(tensor(device, host(data, [data.length])));
      const out = engine.allocate(engine.dtype, b.length);
      engine.scan({ ...spec, a: on(a), b: on(b), h0: null, out, reverse, adjoint: true });
      const ys = await engine.read(out);
      assertEquals(
        Array.from(ys, Number.isFinite).includes(false),
        false,
        title(spec, { reverse, adjoint: true }, false),
      );
    }
  }
});
