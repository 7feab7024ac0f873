// The spine of ELK: what solves of few rows hardly reach is that it goes on from dispatch to dispatch.

import { STATUS } from "../../kernels/sequence.ts";
import { chunkPart, chunkWords, type TrustSpec } from "../../kernels/trust.ts";
import { trustGroups, trustSpine } from "../../kernels/trust_scan.ts";
import { openTestMachine, testOnGpu } from "../engine/webgpu/adapter.ts";
import { assertClose, assertSame, numbers } from "../solve/arrays.ts";
import { eliminate, type Matrix, unit } from "../solve/elk_reference.ts";
import { floats, range, run, states } from "./trust_support.ts";

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
          // What chunk 3 leaves of what came before it does not hide that its own variance is nearly of rank 1.
          set(part.A, a.map((row) => row.map((v) => (c === 3 ? 1e-3 * v : v))));
          // Variances of any size, every other one nearly of rank 1, and information that is singular where n > 1.
          const [rank, ridge] = c % 2 === 0 ? [n, 1] : [1, 0.003];
          const thin = root.map((row) => row.map((v, k) => (k < rank ? v : 0)));
          const spread = times(thin, turned(thin)).map((row, i) => row.map((v, j) => v + (i === j ? ridge : 0)));
          set(part.C, spread.map((row) => row.map((v) => v * 10 ** (c - 2))));
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
