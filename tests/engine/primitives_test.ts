import { assert, assertEquals } from "@std/assert";
import type { Device } from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import type { Memory } from "../../src/engine/engine.ts";
import { programOf } from "../../src/step.ts";
import { memoryOf, tensor } from "../../src/tensor.ts";
import { assertClose, assertSame, flipped, host, MATMUL_FORMS, numbers, plainProduct } from "../solve/arrays.ts";
import { MACHINES, PRECISE, testOn } from "../solve/machines.ts";
import { LOOP_CASES } from "../solve/problems.ts";
import { rowsOfStep } from "./map_support.ts";

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
    const inputs = [h0, ...(xs === undefined ? [] : [xs])].map(({ data }) => ({
      memory: on(device, data),
      start: null,
    }));
    engine.map({ program: rowsOfStep(program), params: leaves, inputs, outputs: [out], batch, time });
    const expected = Array.from({ length: batch * time }, (_, row) => {
      const b = Math.floor(row / time);
      const x = Array.from(xs?.data.slice(row * input, (row + 1) * input) ?? []);
      return rule!(Array.from(h0.data.slice(b * state, (b + 1) * state)), x, row % time);
    }).flat();
    // One evaluation; the phase 0.3 t of "network" reaches 24, and f32 rounds it at that size.
    assertClose(await engine.read(out), expected, (dtype === "f64" ? 16 : 32) * epsilon, name);
  }
});

testOn(MACHINES, "matmul: a b, a bᵀ and aᵀ b of every shape, against three loops", async (device, { epsilon }) => {
  const engine = engineOf(device);
  const sizes = [
    ...[[1, 1, 1], [2, 3, 4], [5, 1, 3], [1, 7, 1], [17, 33, 9], [64, 64, 64], [3, 0, 2], [0, 3, 2]],
    // Around blocks of 4, of 64 rows and of a depth of 256.
    ...[[67, 300, 5], [130, 17, 66], [4, 513, 4], [3, 40, 70], [70, 40, 3], [90, 3, 90]],
  ] as [number, number, number][];
  for (const [rows, inner, columns] of sizes) {
    const a = numbers(rows * inner, 1, 5);
    const b = numbers(inner * columns, 1, 6);
    const expected = plainProduct(a, b, rows, inner, columns);
    for (const form of MATMUL_FORMS) {
      const out = engine.allocate(engine.dtype, rows * columns);
      const left = on(device, form === "atb" ? flipped(a, rows, inner) : a);
      const right = on(device, form === "abt" ? flipped(b, inner, columns) : b);
      engine.matmul({ a: left, b: right, out, rows, inner, columns, form });
      const tolerance = (inner + 1) * epsilon;
      assertClose(await engine.read(out), expected, tolerance, `${rows} ${inner} ${columns} ${form}`);
    }
  }
});

testOn(PRECISE, "matmul: NaN and Infinity spread as they should", async (device) => {
  const engine = engineOf(device);
  for (const form of MATMUL_FORMS) {
    for (const size of [2, 40]) {
      // Times the identity.
      const a = new Float64Array(size * size);
      const b = a.map((_, e) => e % (size + 1) === 0 ? 1 : 0);
      a.set(form === "atb" ? [NaN, Infinity] : [NaN, 1], 0);
      a.set(form === "atb" ? [1, 2] : [Infinity, 2], size);
      const out = engine.allocate(engine.dtype, size * size);
      engine.matmul({ a: on(device, a), b: on(device, b), out, rows: size, inner: size, columns: size, form });
      const actual = await engine.read(out);
      const corner = [actual[0]!, actual[1]!, actual[size]!, actual[size + 1]!];
      // Infinity · 0 is NaN: a product with 0 is no shortcut.
      assertSame(corner, [NaN, NaN, Infinity, NaN], `${form} of ${size}`);
      assertSame(actual.slice(2 * size), new Float64Array(size * size - 2 * size), `${form} of ${size}, the rest`);
    }
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
    { fromStart: 22, fromStride: -2, toStart: 0, toStride: 2, width: 2, rows: 12 },
    { fromStart: 20, fromStride: -3, toStart: 1, toStride: 2, width: 1, rows: 7 },
    { fromStart: 20, fromStride: -1, toStart: 1, toStride: 2, width: 1, rows: 11 },
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
