import { assert, assertEquals } from "@std/assert";
import { defineStep, type MethodName, solve, tensor, toHost } from "../../mod.ts";
import * as ops from "../../src/trace/ops.ts";
import { assertClose, assertSame, host, numbers, read } from "./arrays.ts";
import { runLoop } from "./loops.ts";
import { MACHINES, testOn } from "./machines.ts";

const METHODS: readonly MethodName[] = [
  "auto",
  "sequential",
  "jacobi",
  "picard",
  "quasi-deer",
  "block-deer",
  "deer",
  "quasi-elk",
  "elk",
];

const scalar = defineStep({
  name: "scalar",
  state: 1,
  input: 1,
  params: {},
  step: ({ h, x }) => ops.tanh(ops.add(ops.mul(0.5, h), x)),
});

const coupled = defineStep({
  name: "coupled",
  state: 2,
  input: 1,
  params: { weight: [2, 2] },
  step: ({ h, x, p }) => ops.tanh(ops.add(ops.matvec(p.weight, h), x)),
});

const free = defineStep({ name: "free", state: 2, input: 0, params: {}, step: ({ h }) => ops.mul(0.5, ops.sin(h)) });

const weight = host([0.5, -0.25, 0.125, 0.25], [2, 2]);

testOn(MACHINES, "T = 0: no states, and the last one is h0", async (device) => {
  for (const method of METHODS) {
    const empty = host([], [2, 0, 1]);
    const h0 = host([1, 2, 3, 4], [2, 2]);
    const options = { device, method, errorBound: true, keepIterates: true } as const;
    using batch = await solve(coupled, { params: { weight }, xs: empty, h0 }, options);
    assertEquals([batch.ys.shape, batch.yT.shape, batch.result], [[2, 0, 2], [2, 2], "successful"]);
    assertEquals(Array.from(await read(batch.yT)), [1, 2, 3, 4]);
    assertEquals(batch.stats.sweeps, 0);
    assertEquals([batch.stats.converged, batch.stats.errorBound], [[true, true], [0, 0]]);
    assertEquals(batch.iterates!.shape, [1, 2, 0, 2]);
    using single = await solve(coupled, { params: { weight }, xs: host([], [0, 1]) }, { device, method });
    assertEquals([single.ys.shape, Array.from(await read(single.yT))], [[0, 2], [0, 0]]);
    using none = await solve(free, { params: {}, time: 0 }, { device, method });
    assertEquals([none.ys.shape, none.yT.shape], [[0, 2], [2]]);
  }
});

testOn(MACHINES, "T = 1 is exact after the first sweep", async (device) => {
  const expected = [Math.tanh(0.5 - 0.5 + 0.3), Math.tanh(0.125 + 0.5 + 0.3)];
  for (const method of METHODS) {
    const problem = { params: { weight }, xs: host([0.3], [1, 1]), h0: host([1, 2], [2]) };
    using solution = await solve(coupled, problem, { device, method, guess: "zeros" });
    assertEquals(solution.ys.shape, [1, 2]);
    assertClose(await read(solution.ys), expected, 1e-6, method);
    assertSame(await read(solution.yT), await read(solution.ys), method);
    assertEquals(solution.stats.sweeps, solution.stats.method === "sequential" ? 0 : 1);
  }
});

testOn(MACHINES, "B = 0: an empty batch is solved", async (device) => {
  for (const method of METHODS) {
    const options = { device, method, errorBound: true, keepIterates: true } as const;
    using solution = await solve(coupled, { params: { weight }, xs: host([], [0, 5, 1]) }, options);
    assertEquals([solution.ys.shape, solution.yT.shape, solution.result], [[0, 5, 2], [0, 2], "successful"]);
    const { converged, sequenceSweeps, errorBound } = solution.stats;
    assertEquals([converged, sequenceSweeps, errorBound], [[], [], []]);
    using none = await solve(free, { params: {}, time: 3, h0: host([], [0, 2]) }, { device, method });
    assertEquals(none.ys.shape, [0, 3, 2]);
  }
});

testOn(MACHINES, "B = 1 keeps its axis, and gives the bits of the single sequence", async (device) => {
  const xs = numbers(40, 1, 3);
  for (const method of METHODS) {
    using batch = await solve(coupled, { params: { weight }, xs: host(xs, [1, 40, 1]) }, { device, method });
    using single = await solve(coupled, { params: { weight }, xs: host(xs, [40, 1]) }, { device, method });
    assertEquals([batch.ys.shape, batch.yT.shape], [[1, 40, 2], [1, 2]]);
    assertEquals([single.ys.shape, single.yT.shape], [[40, 2], [2]]);
    assertSame(await read(batch.ys), await read(single.ys), method);
  }
});

testOn(MACHINES, "D = 1 by every method, against a plain loop", async (device, { epsilon }) => {
  const xs = host(numbers(100, 1, 4), [2, 50, 1]);
  const expected = runLoop(([h], [x]) => [Math.tanh(0.5 * h! + x!)], host([0, 0], [2, 1]), xs, 50);
  for (const method of METHODS) {
    using solution = await solve(scalar, { params: {}, xs }, { device, method });
    assertClose(await read(solution.ys), expected.data, device.dtype === "f64" ? 1e-9 : 50 * epsilon, method);
  }
});

testOn(MACHINES, "without input h0 gives the batch, and time the length", async (device) => {
  const h0 = [0.5, -1, 2, 0.25];
  const expected = runLoop((h) => h.map((value) => 0.5 * Math.sin(value)), host(h0, [2, 2]), undefined, 8);
  for (const method of METHODS) {
    using batch = await solve(free, { params: {}, time: 8, h0: host(h0, [2, 2]) }, { device, method });
    assertEquals(batch.ys.shape, [2, 8, 2]);
    assertClose(await read(batch.ys), expected.data, 1e-6, method);
    using single = await solve(free, { params: {}, time: 8, h0: host(h0.slice(2), [2]) }, { device, method });
    assertEquals(single.ys.shape, [8, 2]);
    assertClose(await read(single.ys), expected.data.slice(16), 1e-6, method);
    using zeros = await solve(free, { params: {}, time: 8 }, { device, method });
    assertEquals([zeros.ys.shape, (await read(zeros.ys)).every((value) => value === 0)], [[8, 2], true]);
  }
});

testOn(MACHINES, "one h0 serves a whole batch, none means zeros", async (device) => {
  const xs = host(numbers(30, 1, 6), [3, 10, 1]);
  for (const method of ["sequential", "deer"] as const) {
    const run = async (h0?: ReturnType<typeof host>): Promise<Float64Array> => {
      const problem = { params: { weight }, xs, ...(h0 && { h0 }) };
      using solution = await solve(coupled, problem, { device, method });
      return await read(solution.ys);
    };
    assertSame(await run(host([1, 2], [2])), await run(host([1, 2, 1, 2, 1, 2], [3, 2])), method);
    assertSame(await run(), await run(host(new Float64Array(6), [3, 2])), method);
  }
});

testOn(MACHINES, "the last state is the last of the trajectory, in a tensor of its own", async (device) => {
  const xs = tensor(device, host(numbers(30, 1, 6), [3, 10, 1]));
  using solution = await solve(coupled, { params: { weight }, xs }, { method: "deer" });
  const ys = await read(solution.ys);
  const last = [0, 1, 2].flatMap((b) => Array.from(ys.slice((b * 10 + 9) * 2, (b + 1) * 20)));
  assertSame(await read(solution.yT), last, "yT");
  solution.ys.dispose();
  assertSame(await read(solution.yT), last, "yT without ys");
});

testOn(MACHINES, "answers have the dtype of the device, whatever floats come in", async (device, { dtype }) => {
  const kind = dtype === "f64" ? Float64Array : Float32Array;
  for (const xs of [Float32Array.of(0.5, 0.25), Float64Array.of(0.5, 0.25)]) {
    using solution = await solve(scalar, { params: {}, xs: { data: xs, shape: [2, 1] } }, { device });
    assertEquals([solution.ys.dtype, solution.yT.dtype], [dtype, dtype]);
    const { data, shape } = await toHost(solution.ys);
    assert(data instanceof kind);
    assertEquals(shape, [2, 1]);
  }
});

testOn(MACHINES, "a step that forgets its state takes every method at most two sweeps", async (device) => {
  const forget = defineStep({ name: "forget", state: 2, input: 2, params: {}, step: ({ x }) => ops.exp(x) });
  const xs = numbers(40, 1, 8);
  for (const method of METHODS) {
    using solution = await solve(forget, { params: {}, xs: host(xs, [20, 2]) }, { device, method, guess: "zeros" });
    assertClose(await read(solution.ys), xs.map(Math.exp), 1e-6, method);
    if (method === "deer" || method === "jacobi") assert(solution.stats.sweeps <= 2, method);
  }
});
