// Products, transposes and solutions of matrices: singular systems, exchanges of rows, what is proven of them, and steps made
// of them, by every method.

import { assertEquals } from "@std/assert";
import { defineStep, type HostTensor, openDevice, ops, solve, toHost } from "../../mod.ts";
import { provePattern } from "../../src/trace/pattern.ts";
import { assertClose as assertNear, host, numbers } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";
import { openTestMachine, testOnGpu } from "../engine/webgpu/adapter.ts";
import { evaluateOnGpu, FORMS } from "./gpu.ts";
import { assertClose, type Body, runNodes, traceBody } from "./helpers.ts";
import { riccati } from "./riccati.ts";

/** A matrix of n rows, and whether it is singular in floating-point arithmetic too. */
const SYSTEMS: readonly (readonly [name: string, n: number, a: readonly number[], singular: boolean])[] = [
  ["zero, one by one", 1, [0], true],
  ["minus zero", 1, [-0], true],
  ["one by one", 1, [-4], false],
  ["equal rows", 2, [1, 2, 1, 2], true],
  ["zeros", 2, [0, 0, 0, 0], true],
  ["only beside the diagonal", 2, [0, 2, 4, 0], false],
  ["a row of zeros", 3, [1, 2, 3, 0, 0, 0, 2, 1, 1], true],
  ["a column of zeros", 3, [0, 1, 2, 0, 3, 4, 0, 5, 7], true],
  ["powers of two", 3, [0, 4, 0, 0, 0, 8, 2, 0, 0], false],
  ["a multiple of a row", 5, Array.from({ length: 25 }, (_, e) => (1 + (e % 5) ** 2) * 2 ** Math.floor(e / 5)), true],
  ["a cycle", 5, Array.from({ length: 25 }, (_, e) => (Math.floor(e / 5) + 2) % 5 === e % 5 ? 2 : 0), false],
];

/** Each system for a vector and for two columns: the body, its arguments in one row, and its solution. */
const CASES = SYSTEMS.flatMap(([name, n, a, singular]) =>
  [0, 2].map((width) => {
    const columns = Math.max(1, width);
    const x = Array.from({ length: n * columns }, (_, i) => i - 1.5);
    const b = x.map((_, e) => {
      const [i, j] = [Math.floor(e / columns), e % columns];
      // No solution at all: quotients by a pivot of 0 are infinite.
      if (singular) return e + 1;
      return Array.from({ length: n }, (_, k) => a[i * n + k]! * x[k * columns + j]!).reduce((s, v) => s + v, 0);
    });
    const body: Body = (o, a, b) => o.linearSolve(a!, b!);
    const shapes = [[n, n], width === 0 ? [n] : [n, width]];
    return { name: `${name}, ${columns} columns`, body, shapes, row: [a, b], x: singular ? x.map(() => NaN) : x };
  })
);

Deno.test("linearSolve: NaN everywhere where the matrix is singular, else the solution", () => {
  for (const { name, body, shapes, row, x } of CASES) {
    const { leaves, output } = traceBody(body, shapes);
    const [actual] = runNodes([output], new Map(leaves.map((leaf, i) => [leaf, row[i]!])));
    assertNear(actual!, x, 0, name);
  }
});

for (const form of FORMS) {
  testOnGpu(`linearSolve: NaN everywhere where the matrix is singular, else the solution (${form})`, async () => {
    const machine = await openTestMachine();
    // Compilers take long over much code of one invocation.
    for (let first = 0; first < CASES.length; first += 2) {
      const cases = CASES.slice(first, first + 2);
      const [results] = await evaluateOnGpu(machine, form, cases, [cases.flatMap(({ row }) => row.flat())]);
      // Divisions in WGSL may be off by 2.5 units in the last place, of numbers up to 8.5.
      for (const [i, { name, x }] of cases.entries()) assertNear(results![i]!, x, 64 * 2 ** -23, name);
    }
    await machine.dispose();
  });
}

Deno.test("linearSolve: the residual is small for random matrices, however large their entries are", () => {
  for (const n of [1, 2, 3, 5, 12, 40]) {
    for (const scale of [1, 1e-200, 1e200]) {
      const { leaves, output } = traceBody((o, a, b) => o.linearSolve(a!, b!), [[n, n], [n]]);
      const a = Array.from(numbers(n * n, 1, n), (v) => v * scale);
      const b = Array.from(numbers(n, 1, n + 1));
      const [x] = runNodes([output], new Map([[leaves[0]!, a], [leaves[1]!, b]]));
      const residual = b.map((_, i) => a.slice(i * n, (i + 1) * n).reduce((s, v, k) => s + v * x![k]!, 0));
      // Backward stability: eps · n · growth · |a| |x|.
      const size = Math.max(...x!.map(Math.abs)) * scale * n;
      assertClose(residual, b, { absolute: 64 * n * 2 ** -52 * size }, `n ${n}, entries of size ${scale}`);
    }
  }
});

Deno.test("linearSolve: without exchanges of rows the answer would be lost", () => {
  // 1e-20 as a pivot: every digit of the second row drowns.
  for (const rest of [0, 1, 2]) {
    const n = 2 + rest;
    const a = Array.from({ length: n * n }, (_, e) => Number(e % (n + 1) === 0));
    [a[0], a[1], a[n], a[n + 1]] = [1e-20, 1, 1, 1];
    const { leaves, output } = traceBody((o, a, b) => o.linearSolve(a!, b!), [[n, n], [n]]);
    const b = [1, 2, ...new Array<number>(rest).fill(3)];
    const [x] = runNodes([output], new Map([[leaves[0]!, a], [leaves[1]!, b]]));
    assertClose(x!, [1, 1, ...new Array<number>(rest).fill(3)], { relative: 1e-15 }, `n ${n}`);
  }
});

Deno.test("matrices: what is proven of their Jacobians", () => {
  const pattern = (fn: Parameters<typeof traceBody>[0], size: number) => {
    const { leaves, output } = traceBody((o, h) => o.reshape(fn(o, h!), [size]), [[size]]);
    return provePattern(output, leaves[0]!);
  };
  const square = [3, 3];
  assertEquals(pattern((o, h) => o.transpose(o.transpose(o.reshape(h!, square))), 9), { kind: "diagonal" });
  assertEquals(pattern((o, h) => o.transpose(o.sin(o.transpose(o.sin(o.reshape(h!, square))))), 9), {
    kind: "diagonal",
  });
  // Entry (i, j) of a 2 × 3 matrix goes to (j, i): 0 1 2 3 4 5 from 0 3 1 4 2 5.
  assertEquals(pattern((o, h) => o.transpose(o.sin(o.reshape(h!, [2, 3]))), 6), { kind: "dense" });
  assertEquals(pattern((o, h) => o.matmul(o.reshape(h!, square), o.reshape(h!, square)), 9), { kind: "dense" });
  assertEquals(pattern((o, h) => o.linearSolve(o.constant([2, 0, 0, 2], [2, 2]), h!), 2), { kind: "dense" });
  assertEquals(pattern((o) => o.linearSolve(o.constant([2, 0, 0, 2], [2, 2]), o.constant([1, 2])), 2), {
    kind: "zero",
  });
});

const identity = (n: number, scale: number): number[] =>
  Array.from({ length: n * n }, (_, e) => e % (n + 1) === 0 ? scale : 0);

function riccatiProblem(n: number, m: number, batch: number, time: number): Record<string, HostTensor> {
  return {
    a: host(identity(n, 0.7).map((v, i) => Math.fround(v + numbers(n * n, 0.1, 7)[i]!)), [n, n]),
    c: host(numbers(m * n, 1, 3), [m, n]),
    r: host(identity(m, 0.5), [m, m]),
    q: host(identity(n, 0.25), [n, n]),
    xs: host(numbers(batch * time * n * n, 1, 5), [batch, time, n * n]),
    h0: host(Array.from({ length: batch }, () => identity(n, 1)).flat(), [batch, n * n]),
  };
}

/** The recurrence with plain loops, and an inverse by cofactors of a matrix of at most two rows. */
function riccatiLoop(n: number, m: number, batch: number, time: number): number[] {
  const { a, c, r, q, xs, h0 } = riccatiProblem(n, m, batch, time);
  type Matrix = number[][];
  const matrix = (data: ArrayLike<number>, columns: number): Matrix =>
    Array.from({ length: data.length / columns }, (_, i) => Array.from(data).slice(i * columns, (i + 1) * columns));
  const times = (x: Matrix, y: Matrix): Matrix =>
    x.map((row) => y[0]!.map((_, j) => row.reduce((s, v, k) => s + v * y[k]![j]!, 0)));
  const flip = (x: Matrix): Matrix => x[0]!.map((_, j) => x.map((row) => row[j]!));
  const sum = (x: Matrix, y: Matrix, k = 1): Matrix => x.map((row, i) => row.map((v, j) => v + k * y[i]![j]!));
  const inverse = (x: Matrix): Matrix => {
    if (x.length === 1) return [[1 / x[0]![0]!]];
    const [[a, b], [c, d]] = x as [[number, number], [number, number]];
    const k = 1 / (a * d - b * c);
    return [[k * d, -k * b], [-k * c, k * a]];
  };
  const out: number[] = [];
  const C = matrix(c!.data, n);
  for (let s = 0; s < batch; s++) {
    let P = matrix(h0!.data.slice(s * n * n, (s + 1) * n * n), n);
    for (let t = 0; t < time; t++) {
      const row = (s * time + t) * n * n;
      const A = sum(matrix(a!.data, n), matrix(xs!.data.slice(row, row + n * n), n), 0.1);
      const S = sum(times(times(C, P), flip(C)), matrix(r!.data, m));
      const updated = sum(P, times(times(times(P, flip(C)), inverse(S)), times(C, P)), -1);
      P = sum(times(times(A, updated), flip(A)), matrix(q!.data, n));
      out.push(...P.flat());
    }
  }
  return out;
}

for (const [n, m] of [[1, 1], [2, 1], [2, 2], [3, 2]] as const) {
  testOn(
    MACHINES,
    `matrices: a Riccati recurrence of ${n} states and ${m} measurements`,
    async (device, { epsilon }) => {
      const [batch, time] = [2, 20];
      const { xs, h0, ...params } = riccatiProblem(n, m, batch, time);
      const expected = riccatiLoop(n, m, batch, time);
      for (const method of ["sequential", "deer", "quasi-deer"] as const) {
        using solution = await solve(riccati(n, m), { params, xs: xs!, h0: h0! }, { device, method, maxSweeps: time });
        assertEquals(solution.result, "successful");
        const { data } = await toHost(solution.ys);
        // Covariances are of size 1 and contract; rtol of f64 is 1e-10.
        assertNear(data, expected, Math.max(1e-9, 8 * epsilon * time), `${method}`);
      }
    },
  );
}

Deno.test("matrices: values from parameters alone are computed once", async () => {
  await using device = await openDevice({ backend: "cpu", dtype: "f64" });
  const step = defineStep({
    name: "hoisted",
    state: 2,
    input: 0,
    params: { a: [2, 2], b: [2, 2] },
    step: ({ h, p }) => ops.matvec(ops.matmul(ops.transpose(p.a), ops.linearSolve(p.b, p.a)), h),
  });
  const params = { a: host([1, 2, 3, 4], [2, 2]), b: host([0, 2, 4, 0], [2, 2]) };
  using solution = await solve(step, { params, time: 1, h0: host([1, 1], [2]) }, { device });
  // b⁻¹ a = [[0.75, 1], [0.5, 1]]; aᵀ of it [[2.25, 4], [3.5, 6]].
  assertEquals((await toHost(solution.ys)).data, new Float64Array([6.25, 9.5]));
});
