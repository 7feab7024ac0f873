// The kernels of ELK that a solve of few rows hardly reaches: the spine in several dispatches, sums of many parts, the rule
// at all its edges, and the way back.

import { assert, assertEquals } from "@std/assert";
import { NONE, STATE, STATE_WORDS, STATUS } from "../../kernels/sequence.ts";
import {
  chunkPart,
  chunkWords,
  packTrustParams,
  TRUST,
  TRUST_WORDS,
  type TrustKernel,
  type TrustParams,
  type TrustSpec,
} from "../../kernels/trust.ts";
import { trustRestore, trustSums } from "../../kernels/trust_rule.ts";
import { trustGroups, trustSpine } from "../../kernels/trust_scan.ts";
import { planTrust } from "../../src/engine/webgpu/trust_plan.ts";
import type { Machine } from "../../src/engine/webgpu/machine.ts";
import { BALANCE, NEAR, type TrustHistory, weigh } from "../../src/engine/trust.ts";
import { openTestMachine, testOnGpu } from "../engine/webgpu/adapter.ts";
import { assertClose, assertSame, numbers } from "../solve/arrays.ts";
import { eliminate, type Matrix, unit } from "../solve/elk_reference.ts";
import { Guarded } from "./scan_support.ts";

type Arrays = Readonly<Record<string, Float32Array | Uint32Array>>;

/** Dispatches of a kernel, one for each of `parts`, on arrays by name; answers them all as bits. */
async function run(
  machine: Machine,
  kernel: TrustKernel,
  groups: number,
  arrays: Arrays,
  parts: readonly TrustParams[],
): Promise<Record<string, Uint32Array>> {
  const memory = kernel.arrays.map((name) => new Guarded(machine, arrays[name]!));
  for (const part of parts) {
    const uniform = machine.uniform(packTrustParams(part));
    machine.dispatch(kernel, machine.bind(kernel, [uniform, ...memory.map(({ region }) => region)]), groups);
  }
  const found: Record<string, Uint32Array> = {};
  for (const [i, name] of kernel.arrays.entries()) found[name] = await memory[i]!.take();
  return found;
}

const floats = (words: Uint32Array): Float32Array => new Float32Array(words.buffer);
const bits = (values: readonly number[]): Uint32Array => new Uint32Array(Float32Array.from(values).buffer);

/** Words of the state of sequences. */
function states(fields: readonly Partial<Record<keyof typeof STATE, number>>[]): Uint32Array {
  const words = new Uint32Array(fields.length * STATE_WORDS);
  for (const [b, given] of fields.entries()) {
    for (const [field, value] of Object.entries(given)) {
      words[b * STATE_WORDS + STATE[field as keyof typeof STATE]] = value;
    }
  }
  return words;
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const times = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((s, v, k) => s + v * b[k]![j]!, 0)));
const turned = (a: Matrix): Matrix => a[0]!.map((_, j) => a.map((row) => row[j]!));
const plus = (a: Matrix, b: Matrix): Matrix => a.map((row, i) => row.map((v, j) => v + b[i]![j]!));

for (
  const [size, layout] of [[1, "contiguous"], [2, "strided"], [4, "contiguous"], [5, "contiguous"], [
    16,
    "strided",
  ]] as const
) {
  testOnGpu(`the spine of ELK over units of ${size} combines chunks, in one dispatch or in several`, async () => {
    const machine = await openTestMachine();
    const spec: TrustSpec = { size, layout, adaptive: false };
    const [batch, chunks, units, n] = [2, 7, 3, size];
    const [width, part] = [chunkWords(n), chunkPart(n)];
    const data = new Float32Array(batch * chunks * width * units).fill(NaN);
    const word = (b: number, c: number, w: number, u: number): number => ((b * chunks + c) * width + w) * units + u;
    const matrix = (b: number, c: number, u: number, first: number): Matrix =>
      range(n).map((i) => range(n).map((j) => data[word(b, c, first + i * n + j, u)]!));
    const vector = (b: number, c: number, u: number, first: number): Matrix =>
      range(n).map((i) => [data[word(b, c, first + i, u)]!]);
    for (const b of range(batch)) {
      for (const c of range(chunks)) {
        for (const u of range(units)) {
          const random = Array.from(numbers(3 * n * n + 2 * n, 1, 100 * b + 10 * c + u));
          const set = (first: number, values: Matrix): void =>
            values.flat().forEach((value, e) => data[word(b, c, first + e, u)] = value);
          const take = (columns: number): Matrix => range(n).map(() => random.splice(0, columns));
          const [a, root, half] = [take(n), take(n), take(n)];
          set(part.A, a);
          // Variances of any size, information that is singular where there are more states than one.
          set(part.C, plus(times(root, turned(root)), unit(n)).map((row) => row.map((v) => v * 10 ** (c - 2))));
          const few = half.map((row) => row.map((v, k) => (k === 0 && n > 1 ? 0 : v)));
          set(part.J, times(few, turned(few)));
          set(part.b, take(1));
          set(part.eta, take(1));
        }
      }
    }
    const kernel = trustSpine(spec);
    const arrays = { S: states([{ status: STATUS.running }, { status: STATUS.running }]), AGG: data };
    const groups = trustGroups(spec, batch * units);
    const base = { batch, units, size: n, chunks };
    const { AGG } = await run(machine, kernel, groups, arrays, [{ ...base, first: 0, count: chunks }]);
    const found = floats(AGG!);
    for (const b of range(batch)) {
      for (const u of range(units)) {
        let mean: Matrix = range(n).map(() => [0]);
        let variance: Matrix = range(n).map(() => range(n).map(() => 0));
        for (const c of range(chunks)) {
          const what = `sequence ${b}, unit ${u}, before chunk ${c}`;
          const at = (first: number, count: number): number[] =>
            range(count).map((e) => found[word(b, c, first + e, u)]!);
          const size = Math.max(1, ...variance.flat().map(Math.abs));
          assertClose(at(part.variance, n * n), variance.flat(), 2e-5 * n * size, `variance of ${what}`);
          assertClose(at(part.mean, n), mean.flat(), 2e-5 * n * size, `mean of ${what}`);
          const [A, C, J] = [part.A, part.C, part.J].map((first) => matrix(b, c, u, first)) as [Matrix, Matrix, Matrix];
          const rest = times(A, eliminate(plus(unit(n), times(variance, J)), unit(n)));
          mean = plus(times(rest, plus(mean, times(variance, vector(b, c, u, part.eta)))), vector(b, c, u, part.b));
          variance = plus(times(times(rest, variance), turned(A)), C);
        }
      }
    }
    const pieces = [[0, 3], [3, 3], [6, 3]].map(([first, count]) => ({ ...base, first: first!, count: count! }));
    assertSame((await run(machine, kernel, groups, arrays, pieces)).AGG!, AGG!, "in three dispatches");
    // Sequences that are not running are left alone.
    const idle = { ...arrays, S: states([{ status: STATUS.converged }, { status: STATUS.maxSweeps }]) };
    const left = await run(machine, kernel, groups, idle, [{ ...base, first: 0, count: chunks }]);
    assertSame(left.AGG!, new Uint32Array(data.buffer), "not running");
    await machine.dispose();
  });
}

testOnGpu("the sums of ELK are those over rows that are not exact, of what is finite", async () => {
  const machine = await openTestMachine();
  const [state, rows, parts] = [7, 1000, 3];
  const exact = [0, 400, 998, 5];
  const batch = exact.length;
  const make = (seed: number): Float32Array => Float32Array.from(numbers(batch * rows * state, 3, seed));
  const [F, Y, K] = [make(1), make(2), make(3)] as [Float32Array, Float32Array, Float32Array];
  for (const at of [0, 40, rows * state + 401 * state]) F[at] = [NaN, Infinity, -Infinity][at % 3]!;
  const S = states(exact.map((rows, b) => ({ status: b === 3 ? STATUS.converged : STATUS.running, exact: rows })));
  const partRows = Math.ceil(rows / parts);
  const PARTS = new Float32Array(batch * parts * 3).fill(7);
  const found = floats(
    (await run(machine, trustSums(state), batch * parts, { F, Y, K, S, PARTS }, [{ batch, rows, parts, partRows }]))
      .PARTS!,
  );
  for (const b of range(batch)) {
    for (const part of range(parts)) {
      const [first, last] = [Math.max(part * partRows, exact[b]!), Math.min((part + 1) * partRows, rows)];
      const sums = [0, 0, 0];
      for (let i = (b * rows + first) * state; b < 3 && i < (b * rows + last) * state; i++) {
        const add = (k: number, v: number): number => sums[k]! += Number.isFinite(v) ? v * v : 0;
        add(0, F[i]! - Y[i]!);
        add(1, F[i]! - K[i]!);
        add(2, K[i]! - Y[i]!);
      }
      const at = (b * parts + part) * 3;
      // A tree of 8 levels over sums of at most 10 terms each.
      assertClose(found.slice(at, at + 3), sums, 20 * 2 ** -23 * Math.max(1, ...sums), `sequence ${b}, part ${part}`);
    }
  }
  await machine.dispose();
});

testOnGpu("the rule for λ is that of the CPU engine", async () => {
  const machine = await openTestMachine();
  const plan = planTrust({ size: 1, layout: "contiguous", adaptive: true }, 1);
  const tried: {
    readonly history: TrustHistory;
    readonly sums: readonly [number, number, number];
    readonly largest: number;
  }[] = [];
  for (const damping of [1e-20, 3e-20, 0.1, 3e5, 1e6]) {
    for (const before of [1, NaN]) {
      for (const merit of [0.5, 2]) {
        for (const nonlinear of [0, 1e-9, 0.2, 0.7, 5, 7, 1e9]) {
          for (const largest of [0.5, 90, 1e6, Infinity]) {
            const history = { damping: Math.fround(damping), predicted: before, merit: 1.5 };
            tried.push({ history, sums: [merit, nonlinear, 1], largest });
          }
        }
      }
    }
  }
  const batch = tried.length;
  const parts = 2;
  for (const whole of [true, false]) {
    const S = states(tried.map(({ largest }) => ({ status: STATUS.running, worst: bits([largest])[0]! })));
    const T = new Uint32Array(batch * TRUST_WORDS);
    tried.forEach(({ history: { damping, predicted, merit } }, b) => {
      T.set([...bits([damping, merit]), Number(!Number.isNaN(predicted)), 1, b & 1], b * TRUST_WORDS);
    });
    // What the rule reads as predicted by the sweep before is its third sum; it comes in two parts.
    const PARTS = Float32Array.from(tried.flatMap(({ sums: [m, n, p] }) => [m / 4, n / 2, p, 3 * m / 4, n / 2, 0]));
    const floor = 0.1;
    const params = { batch, parts, balance: whole ? BALANCE.whole : BALANCE.part, near: whole ? -1 : NEAR * floor };
    const found = await run(machine, plan.adaptive!.weigh, Math.ceil(batch / 64), { PARTS, S, T }, [params]);
    const seen = new Set<string>();
    for (const [b, { history, sums: [merit, nonlinear], largest }] of tried.entries()) {
      const own = { ...history };
      const accepted = weigh(own, { merit, nonlinear, predicted: 1 }, largest, { whole, floor });
      const what = JSON.stringify({ whole, history, merit, nonlinear, largest });
      const word = (field: keyof typeof TRUST): number => found.T![b * TRUST_WORDS + TRUST[field]]!;
      const [damping, kept] = floats(Uint32Array.of(word("damping"), word("merit")));
      assertClose([damping! / own.damping], [1], 1e-6, what);
      assertEquals(kept, own.merit, what);
      assertEquals([word("refused"), word("compares"), word("parity")], [
        Number(!accepted),
        Number(accepted),
        1 - (b & 1),
      ], what);
      const state = (field: keyof typeof STATE): number => found.S![b * STATE_WORDS + STATE[field]]!;
      assertEquals(state("resets"), Number(!accepted), what);
      assertEquals(floats(Uint32Array.of(state("worst")))[0], accepted ? Math.fround(largest) : Infinity, what);
      seen.add(accepted ? Math.sign(own.damping - history.damping).toString() : "refused");
    }
    assertEquals([...seen].sort(), ["-1", "0", "1", "refused"]);
  }
  await machine.dispose();
});

testOnGpu("a refused sweep brings back the iterate before, behind what is exact", async () => {
  const machine = await openTestMachine();
  const [state, rows] = [3, 50];
  const cases = [
    { refused: 1, parity: 0, changed: 10, status: STATUS.running },
    { refused: 1, parity: 1, changed: 0, status: STATUS.running },
    { refused: 1, parity: 1, changed: NONE, status: STATUS.running },
    { refused: 0, parity: 1, changed: 10, status: STATUS.running },
    { refused: 1, parity: 1, changed: 10, status: STATUS.converged },
  ];
  const batch = cases.length;
  const length = batch * rows * state;
  const second = 64 * Math.ceil(length / 64);
  const [Y, K] = [Float32Array.from(numbers(length, 1, 1)), Float32Array.from(numbers(3 * second, 1, 2))];
  const T = new Uint32Array(batch * TRUST_WORDS);
  cases.forEach(({ refused, parity }, b) => T.set([0, 0, 0, refused, parity], b * TRUST_WORDS));
  const arrays = { Y, K, T, S: states(cases.map(({ status, changed }) => ({ status, changed }))) };
  const found = floats(
    (await run(machine, trustRestore(state), Math.ceil(length / 256), arrays, [{ batch, rows, second }])).Y!,
  );
  const expected = Y.map((value, i) => {
    const { refused, parity, changed, status } = cases[Math.floor(i / (rows * state))]!;
    const restored = refused === 1 && status === STATUS.running && Math.floor(i / state) % rows > changed;
    return restored ? K[second * (1 + parity) + i]! : value;
  });
  assertSame(found, expected, "rows");
  assert(found.some((value, i) => value !== Y[i]));
  await machine.dispose();
});
