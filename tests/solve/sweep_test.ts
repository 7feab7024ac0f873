import { assertEquals } from "@std/assert";
import { blockDeer, deer, jacobi, type Method, picard, quasiDeer, solve } from "../../mod.ts";
import { createRandom } from "../../src/core/random.ts";
import { assertClose, read } from "./arrays.ts";
import type { Rule } from "./loops.ts";
import { MACHINES, someOf, testOn } from "./machines.ts";
import { LOOP_CASES, problemOf, type SolveCase } from "./problems.ts";

// One sweep is h⁺[t] = f(h[t-1]) + G[t] (h⁺[t-1] - h[t-1]): here in plain loops, with a Jacobian by central differences.

type Matrix = number[][];

function numericJacobian(rule: Rule, h: readonly number[], x: readonly number[], t: number): Matrix {
  const step = 1e-5;
  const columns = h.map((_, j) => {
    const moved = (by: number): number[] => rule(h.map((value, i) => (i === j ? value + by : value)), x, t);
    const [up, down] = [moved(step), moved(-step)];
    return up.map((value, i) => (value - down[i]!) / (2 * step));
  });
  return h.map((_, i) => columns.map((column) => column[i]!));
}

const masked = (keep: (i: number, j: number) => boolean) => (jacobian: Matrix): Matrix =>
  jacobian.map((row, i) => row.map((value, j) => (keep(i, j) ? value : 0)));

const diagonal = masked((i, j) => i === j);
const clipped = (clip: number, g: Matrix): Matrix =>
  g.map((row) => row.map((value) => Math.max(-clip, Math.min(clip, value))));
const scaled = (scale: number, g: Matrix): Matrix => g.map((row) => row.map((value) => (1 - scale) * value));

/** The mean of z ∘ (J z) over random signs z. */
function estimated(jacobian: Matrix, probes: number, seed: number): Matrix {
  const random = createRandom(seed);
  const total = jacobian.map(() => 0);
  for (let k = 0; k < probes; k++) {
    const z = jacobian.map(() => (random.uniform() < 0.5 ? -1 : 1));
    jacobian.forEach((row, i) => total[i]! += z[i]! * row.reduce((sum, value, j) => sum + value * z[j]!, 0) / probes);
  }
  return jacobian.map((row, i) => row.map((_, j) => (i === j ? total[i]! : 0)));
}

/** Each method with the G that its definition makes of the Jacobian. */
const METHODS: readonly [method: Method, g: (jacobian: Matrix) => Matrix, fits?: (state: number) => boolean][] = [
  [jacobi(), (j) => scaled(1, j)],
  [picard(), (j) => j.map((row, i) => row.map((_, k) => (i === k ? 1 : 0)))],
  [quasiDeer(), diagonal],
  [quasiDeer({ scale: 0.25 }), (j) => scaled(0.25, diagonal(j))],
  [quasiDeer({ clip: 0.3, scale: 0.5 }), (j) => scaled(0.5, clipped(0.3, diagonal(j)))],
  [quasiDeer({ clip: Infinity }), diagonal],
  [quasiDeer({ diagonal: { probes: 2, seed: 7 } }), (j) => estimated(j, 2, 7)],
  [quasiDeer({ diagonal: { probes: 3 }, clip: 0.4 }), (j) => clipped(0.4, estimated(j, 3, 0))],
  [
    blockDeer({ block: 2, layout: "contiguous" }),
    masked((i, j) => (i >> 1) === (j >> 1)),
    (state) => state % 2 === 0,
  ],
  [
    blockDeer({ block: 2, layout: "strided", clip: 0.2 }),
    (j) => clipped(0.2, masked((i, k) => i % (j.length / 2) === k % (j.length / 2))(j)),
    (state) => state % 2 === 0,
  ],
  [blockDeer({ block: 1 }), diagonal],
  [deer(), (j) => j],
  [deer({ scale: 0.1 }), (j) => scaled(0.1, j)],
  [deer({ clip: 0.25 }), (j) => clipped(0.25, j)],
  [deer({ clip: 0.25, scale: 0.5 }), (j) => scaled(0.5, clipped(0.25, j))],
];

/** The first iterates `(count + 1, B, T, D)` from the guess f0. */
function iterate({ rule, xs, h0, time, step }: SolveCase, g: (jacobian: Matrix) => Matrix, count: number): number[] {
  const batch = h0.shape[0]!;
  const { state, input } = step;
  const iterates: number[][] = Array.from({ length: count + 1 }, () => []);
  for (let b = 0; b < batch; b++) {
    const start = Array.from(h0.data.slice(b * state, (b + 1) * state));
    const inputs = Array.from({ length: time }, (_, t) => {
      const row = (b * time + t) * input;
      return Array.from(xs?.data.slice(row, row + input) ?? []);
    });
    let h = inputs.map((x, t) => rule!(start, x, t));
    iterates[0]!.push(...h.flat());
    for (let k = 1; k <= count; k++) {
      const next: number[][] = [];
      for (let t = 0; t < time; t++) {
        const [before, after] = t === 0 ? [start, start] : [h[t - 1]!, next[t - 1]!];
        const matrix = g(numericJacobian(rule!, before, inputs[t]!, t));
        next.push(
          rule!(before, inputs[t]!, t).map((value, i) =>
            matrix[i]!.reduce((sum, entry, j) => sum + entry * (after[j]! - before[j]!), value)
          ),
        );
      }
      h = next;
      iterates[k]!.push(...h.flat());
    }
  }
  return iterates.flat();
}

for (const [i, given] of LOOP_CASES.entries()) {
  const { name, step, h0 } = given;
  testOn(MACHINES, `${name}: iterates are those of the definition, for every method`, async (device, machine) => {
    // A few steps are enough, and stay away from the exponential growth that wrong prefixes allow.
    const time = 10;
    const short: SolveCase = { ...given, time, ...(given.xs && { xs: cut(given, time) }) };
    for (const [method, g, fits = (): boolean => true] of someOf(machine, METHODS, 3, i)) {
      if (!fits(step.state)) continue;
      const settings = { device, method, maxSweeps: 2, keepIterates: true, onFailure: "return" } as const;
      using solution = await solve(step, problemOf(short), { ...settings, atol: 0, rtol: 1e-300 });
      const sweeps = solution.stats.sweeps;
      assertEquals(solution.iterates!.shape, [sweeps + 1, h0.shape[0]!, time, step.state]);
      const expected = iterate(short, g, sweeps);
      // f64: the error of central differences, about 1e-10 a step. f32: a rounding a step.
      const tolerance = machine.dtype === "f64" ? 1e-8 : 1e-5;
      const actual = await read(solution.iterates!);
      assertClose(actual, expected, tolerance, `${name} by ${JSON.stringify(method)}`);
    }
  });
}

function cut({ xs }: SolveCase, time: number): NonNullable<SolveCase["xs"]> {
  const [batch, length, input] = xs!.shape as [number, number, number];
  const rows = Array.from({ length: batch }, (_, b) => Array.from(xs!.data.slice(b * length * input)));
  return {
    data: Float64Array.from(rows.flatMap((row) => row.slice(0, time * input))),
    shape: [batch, time, input],
  };
}
