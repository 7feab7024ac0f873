import { assert, assertEquals } from "@std/assert";
import { defineStep, type Device } from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import type { Memory } from "../../src/engine/engine.ts";
import { programOf } from "../../src/step.ts";
import { memoryOf, tensor } from "../../src/tensor.ts";
import * as ops from "../../src/trace/ops.ts";
import { assertClose, assertSame, host, numbers, plainProduct } from "../solve/arrays.ts";
import { MACHINES, PRECISE, testOn } from "../solve/machines.ts";
import { LOOP_CASES } from "../solve/problems.ts";

const on = (device: Device, values: Iterable<number>): Memory => {
  const data = Float64Array.from(values);
  return memoryOf(tensor(device, host(data, [data.length])));
};

testOn(MACHINES, "map: f(h, x[t]; p, t) for all t at one state per sequence", async (device, { dtype, epsilon }) => {
  const engine = engineOf(device);
  for (const { name, step, params, xs, h0, time, rule } of LOOP_CASES) {
    const program = programOf(step);
    const batch = h0.shape[0]!;
    const { state, input } = step;
    const out = engine.allocate(engine.dtype, batch * time * state);
    const leaves = program.params.map(({ path }) => {
      const leaf = path.split(".").reduce<unknown>((tree, key) => (tree as Record<string, unknown>)[key], params);
      return on(device, (leaf as { data: Float64Array }).data);
    });
    const job = { program, params: leaves, h: on(device, h0.data), out, batch, time };
    engine.map({ ...job, xs: xs === undefined ? null : on(device, xs.data) });
    const expected = Array.from({ length: batch * time }, (_, row) => {
      const b = Math.floor(row / time);
      const x = Array.from(xs?.data.slice(row * input, (row + 1) * input) ?? []);
      return rule!(Array.from(h0.data.slice(b * state, (b + 1) * state)), x, row % time);
    }).flat();
    // One evaluation; the phase 0.3 t of "network" reaches 24, and f32 rounds it at that size.
    assertClose(await engine.read(out), expected, (dtype === "f64" ? 16 : 32) * epsilon, name);
  }
});

testOn(MACHINES, "map: of no steps and of no sequences does nothing", async (device) => {
  const engine = engineOf(device);
  const step = defineStep({ name: "s", state: 2, input: 1, params: {}, step: ({ h, x }) => ops.add(h, x) });
  for (const [batch, time] of [[2, 0], [0, 3]] as const) {
    const out = engine.allocate(engine.dtype, 0);
    const job = {
      program: programOf(step),
      params: [],
      xs: on(device, []),
      h: on(device, new Float64Array(2 * batch)),
    };
    engine.map({ ...job, out, batch, time });
    assertEquals((await engine.read(out)).length, 0);
  }
});

testOn(MACHINES, "matmul: a b and a bᵀ of every shape, against three loops", async (device, { epsilon }) => {
  const engine = engineOf(device);
  const sizes = [[1, 1, 1], [2, 3, 4], [5, 1, 3], [1, 7, 1], [17, 33, 9], [64, 64, 64], [3, 0, 2], [0, 3, 2]] as const;
  for (const [rows, inner, columns] of sizes) {
    const a = numbers(rows * inner, 1, 5);
    const b = numbers(inner * columns, 1, 6);
    const expected = plainProduct(a, b, rows, inner, columns);
    const flipped = b.map((_, e) => b[(e % inner) * columns + Math.floor(e / inner)]!);
    for (const transposed of [false, true]) {
      const out = engine.allocate(engine.dtype, rows * columns);
      const right = on(device, transposed ? flipped : b);
      engine.matmul({ a: on(device, a), b: right, out, rows, inner, columns, transposed });
      const tolerance = (inner + 1) * epsilon;
      assertClose(await engine.read(out), expected, tolerance, `${rows} ${inner} ${columns} ${transposed}`);
    }
  }
});

testOn(PRECISE, "matmul: NaN and Infinity spread as they should", async (device) => {
  const engine = engineOf(device);
  for (const transposed of [false, true]) {
    const out = engine.allocate(engine.dtype, 4);
    const b = transposed ? [1, 0, 0, 1] : [1, 0, 0, 1];
    const job = { a: on(device, [NaN, 1, Infinity, 2]), b: on(device, b), out, rows: 2, inner: 2, columns: 2 };
    engine.matmul({ ...job, transposed });
    // Infinity · 0 is NaN: a product with 0 is no shortcut.
    assertSame(await engine.read(out), [NaN, NaN, Infinity, NaN], `transposed ${transposed}`);
  }
});

testOn(MACHINES, "reduce: sum, max and max-abs over the middle axis", async (device, { epsilon }) => {
  const engine = engineOf(device);
  for (const [outer, length, inner] of [[1, 1, 1], [3, 5, 2], [1, 1000, 1], [4, 7, 3], [2, 0, 3], [0, 4, 2]] as const) {
    const values = numbers(outer * length * inner, 3, 8);
    const input = on(device, values);
    const column = (o: number, i: number): number[] =>
      Array.from({ length }, (_, r) => values[(o * length + r) * inner + i]!);
    const expected = {
      sum: (v: number[]): number => v.reduce((a, b) => a + b, 0),
      max: (v: number[]): number => Math.max(...v),
      "max-abs": (v: number[]): number => Math.max(0, ...v.map(Math.abs)),
    };
    for (const op of ["sum", "max", "max-abs"] as const) {
      const out = engine.allocate(engine.dtype, outer * inner);
      engine.reduce({ op, input, out, outer, length, inner });
      const wanted = Array.from(
        { length: outer * inner },
        (_, e) => expected[op](column(Math.floor(e / inner), e % inner)),
      );
      const tolerance = op === "sum" ? 3 * length * epsilon : 0;
      assertClose(await engine.read(out), wanted, tolerance, `${op} of ${outer}, ${length}, ${inner}`);
    }
  }
});

testOn(MACHINES, "reduce: NaN anywhere gives NaN, and only there; infinities count", async (device) => {
  const engine = engineOf(device);
  const table = [
    ["sum", [1, NaN, 2], NaN],
    ["max", [1, NaN, 2], NaN],
    ["max", [NaN, -Infinity, -1], NaN],
    ["max-abs", [0, 0, NaN], NaN],
    ["max", [-3, -1, -2], -1],
    ["max", [-Infinity, -Infinity, -Infinity], -Infinity],
    ["max-abs", [-3, 1, 2], 3],
    ["max-abs", [-Infinity, 1, 2], Infinity],
    ["sum", [Infinity, -Infinity, 0], NaN],
  ] as const;
  for (const [op, values, expected] of table) {
    // A healthy column beside it.
    const input = on(device, values.flatMap((value) => [value, 1]));
    const out = engine.allocate(engine.dtype, 2);
    engine.reduce({ op, input, out, outer: 1, length: 3, inner: 2 });
    assertSame(await engine.read(out), [expected, op === "sum" ? 3 : 1], `${op} of ${values}`);
  }
});

testOn(MACHINES, "copy: rows with strides, and nothing outside them", async (device) => {
  const engine = engineOf(device);
  const source = Array.from({ length: 24 }, (_, i) => i + 1);
  const table = [
    { fromStart: 0, fromStride: 0, toStart: 0, toStride: 0, width: 24, rows: 1 },
    { fromStart: 3, fromStride: 6, toStart: 1, toStride: 4, width: 2, rows: 4 },
    { fromStart: 5, fromStride: 0, toStart: 0, toStride: 3, width: 3, rows: 5 },
    { fromStart: 0, fromStride: 1, toStart: 10, toStride: 1, width: 1, rows: 9 },
    { fromStart: 7, fromStride: 2, toStart: 2, toStride: 2, width: 0, rows: 3 },
    { fromStart: 7, fromStride: 2, toStart: 2, toStride: 2, width: 2, rows: 0 },
  ];
  for (const rows of table) {
    const to = on(device, new Float64Array(24).fill(-1));
    engine.copy(on(device, source), to, rows);
    const expected = new Array<number>(24).fill(-1);
    for (let r = 0; r < rows.rows; r++) {
      for (let i = 0; i < rows.width; i++) {
        expected[rows.toStart + r * rows.toStride + i] = source[rows.fromStart + r * rows.fromStride + i]!;
      }
    }
    assertEquals(Array.from(await engine.read(to)), expected, JSON.stringify(rows));
  }
});

testOn(MACHINES, "memory: allocated by length, uploads by dtype, reads are copies", async (device, { dtype }) => {
  const engine = engineOf(device);
  assertEquals([engine.dtype, engine.backend], [dtype, device.backend]);
  assert(engine.description.length > 0 && engine.description === device.description);
  // Of what is in it nothing is said.
  const five = engine.allocate(engine.dtype, 5);
  assertEquals([five.dtype, five.length, (await engine.read(five)).length], [dtype, 5, 5]);
  const floats = engine.upload(Float64Array.of(1.5, -2));
  assertEquals([floats.dtype, floats.length], [dtype, 2]);
  const integers = engine.upload(Uint32Array.of(4294967295, 7));
  assertEquals([integers.dtype, await engine.read(integers)], ["u32", Uint32Array.of(4294967295, 7)]);
  assertEquals(await engine.read(engine.upload(Int32Array.of(-5))), Int32Array.of(-5));
  const host = Float64Array.of(1, 2);
  const copied = engine.upload(host);
  host[0] = 9;
  (await engine.read(copied))[1] = 9;
  assertEquals(Array.from(await engine.read(copied)), [1, 2]);
});
