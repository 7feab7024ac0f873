import { assert, assertEquals } from "@std/assert";
import { MAX_TURNS } from "../../kernels/kernel.ts";
import { planReduction, recordCopy, recordFill, recordReduce } from "../../src/engine/webgpu/arrays.ts";
import type { Machine } from "../../src/engine/webgpu/machine.ts";
import type { GpuMemory } from "../../src/engine/webgpu/memory.ts";
import { planMatmul, recordMatmul } from "../../src/engine/webgpu/products.ts";
import { openTestMachine, testOnGpu } from "../engine/webgpu/adapter.ts";
import { assertClose, assertSame, flipped, MATMUL_FORMS, numbers, plainProduct } from "../solve/arrays.ts";

// Copies, products and reductions on the GPU against plain loops; results between guard words.

const GUARD = 12345;
const EPSILON = 2 ** -23;

function upload(machine: Machine, values: Iterable<number>): GpuMemory {
  const data = Float32Array.from(values);
  const buffer = machine.pool.allocate(data.byteLength, "test");
  machine.write(buffer, data);
  return { dtype: "f32", length: data.length, buffer };
}

/** Memory with guards behind it; what is before a buffer, no kernel can reach. */
function blank(machine: Machine, length: number): GpuMemory {
  return { ...upload(machine, new Float32Array(length + 64).fill(GUARD)), length };
}

async function take(machine: Machine, { buffer, length }: GpuMemory, ...inputs: GpuMemory[]): Promise<Float32Array> {
  const all = new Float32Array(await machine.read(buffer, 0, 4 * (length + 64)));
  assert(all.subarray(length).every((value) => value === GUARD), "guard words were overwritten");
  for (const memory of [...inputs, { buffer }]) machine.pool.release(memory.buffer);
  return all.slice(0, length);
}

/** Bindings of so few bytes that work must be split. */
function narrow(machine: Machine, bindingBytes: number): void {
  (machine.limits as { bindingBytes: number }).bindingBytes = bindingBytes;
}

testOnGpu("copy: strides, many rows and few, in bands of small bindings", async () => {
  const machine = await openTestMachine();
  const source = numbers(5000, 1, 3);
  const table = [
    { fromStart: 0, fromStride: 0, toStart: 0, toStride: 0, width: 5000, rows: 1 },
    { fromStart: 3, fromStride: 6, toStart: 1, toStride: 4, width: 2, rows: 4 },
    { fromStart: 3, fromStride: 6, toStart: 1, toStride: 4, width: 4, rows: 800 },
    { fromStart: 77, fromStride: 0, toStart: 5, toStride: 7, width: 7, rows: 700 },
    { fromStart: 2, fromStride: 3, toStart: 9, toStride: 3, width: 3, rows: 1000 },
    { fromStart: 1, fromStride: 500, toStart: 3, toStride: 450, width: 400, rows: 9 },
    { fromStart: 7, fromStride: 2, toStart: 2, toStride: 2, width: 0, rows: 3 },
    { fromStart: 7, fromStride: 2, toStart: 2, toStride: 2, width: 2, rows: 0 },
  ];
  for (const bindingBytes of [2 ** 27, 2048]) {
    narrow(machine, bindingBytes);
    for (const rows of table) {
      const [from, to] = [upload(machine, source), blank(machine, 5000)];
      recordCopy(machine, from, to, rows);
      const expected = new Float32Array(5000).fill(GUARD);
      for (let r = 0; r < rows.rows; r++) {
        for (let i = 0; i < rows.width; i++) {
          expected[rows.toStart + r * rows.toStride + i] = source[rows.fromStart + r * rows.fromStride + i]!;
        }
      }
      assertEquals(await take(machine, to, from), expected, JSON.stringify(rows));
    }
  }
  await machine.dispose();
});

testOnGpu("copy: within one array all is read before any is written", async () => {
  const machine = await openTestMachine();
  const source = Float32Array.from(numbers(1000, 1, 3));
  const memory = blank(machine, 1000);
  machine.write(memory.buffer, source);
  recordCopy(machine, memory, memory, { fromStart: 0, fromStride: 3, toStart: 1, toStride: 3, width: 3, rows: 333 });
  const expected = source.slice();
  expected.copyWithin(1, 0, 999);
  assertEquals(await take(machine, memory), expected);
  await machine.dispose();
});

testOnGpu("fill: the bits of a word from a place on", async () => {
  const machine = await openTestMachine();
  for (const bindingBytes of [2 ** 27, 1024]) {
    narrow(machine, bindingBytes);
    for (const [bits, value] of [[0, 0], [0x7fc00000, NaN], [0xff800000, -Infinity]] as const) {
      const memory = blank(machine, 1000);
      recordFill(machine, memory.buffer, 7, 900, bits);
      const expected = new Float32Array(1000).fill(GUARD).fill(value, 7, 907);
      assertSame(await take(machine, memory), expected, `bits ${bits}`);
    }
  }
  await machine.dispose();
});

testOnGpu("matmul: a b, a bᵀ and aᵀ b around the edges of tiles, in bands and slices", async () => {
  const machine = await openTestMachine();
  const sizes = [
    [1, 1, 1],
    [3, 0, 2],
    [0, 3, 2],
    [1, 7, 130],
    [65, 16, 64],
    [63, 17, 65],
    [130, 33, 9],
    [64, 64, 64],
    [5, 2100, 3],
    [2, 5000, 70],
    [33, 3001, 7],
  ] as const;
  for (const bindingBytes of [2 ** 27, 80 * 1024]) {
    for (const [rows, inner, columns] of sizes) {
      narrow(machine, bindingBytes);
      const a = numbers(rows * inner, 1, 5);
      const b = numbers(inner * columns, 1, 6);
      const expected = plainProduct(a, b, rows, inner, columns);
      for (const form of MATMUL_FORMS) {
        if (form !== "atb" && 4 * inner * columns > bindingBytes) continue;
        const out = blank(machine, rows * columns);
        const left = upload(machine, form === "atb" ? flipped(a, rows, inner) : a);
        const right = upload(machine, form === "abt" ? flipped(b, inner, columns) : b);
        recordMatmul(machine, { a: left, b: right, out, rows, inner, columns, form });
        const tolerance = (inner + 1) * EPSILON;
        assertClose(
          await take(machine, out, left, right),
          expected,
          tolerance,
          `${rows} ${inner} ${columns} ${form}`,
        );
      }
    }
  }
  await machine.dispose();
});

testOnGpu("matmul: NaN and infinity reach their row and column only", async () => {
  const machine = await openTestMachine();
  const [rows, inner, columns] = [70, 20, 66];
  const a = Float64Array.from(numbers(rows * inner, 1, 5));
  a[3 * inner + 19] = NaN;
  const b = Float64Array.from(numbers(inner * columns, 1, 6));
  b[7 * columns + 65] = Infinity;
  const out = blank(machine, rows * columns);
  const job = { a: upload(machine, a), b: upload(machine, b), out, rows, inner, columns, form: "ab" } as const;
  recordMatmul(machine, job);
  const actual = await take(machine, out);
  for (const [e, value] of actual.entries()) {
    const spoilt = Math.floor(e / columns) === 3 || e % columns === 65;
    assertEquals(Number.isFinite(value), !spoilt, `element ${e}`);
  }
  assert(Number.isNaN(actual[3 * columns]));
  await machine.dispose();
});

testOnGpu("matmul: products that no buffer can hold are refused with the cure", async () => {
  const machine = await openTestMachine();
  narrow(machine, 1024);
  const [a, b, out] = [upload(machine, numbers(400)), upload(machine, numbers(400)), blank(machine, 400)];
  const job = { a, b, out, rows: 20, inner: 20, columns: 20, form: "ab" } as const;
  let message = "";
  try {
    recordMatmul(machine, job);
  } catch (error) {
    message = (error as Error).message;
  }
  assertEquals(
    message,
    "Cannot bind the right matrix of a product: it takes 1600 bytes, and a binding of this device at most 1024; " +
      "use fewer steps or sequences at a time",
  );
  await machine.dispose();
});

testOnGpu("reduce: sum, max and max-abs of every shape", async () => {
  const machine = await openTestMachine();
  const shapes = [
    [1, 1, 1],
    [3, 5, 2],
    [1, 64, 3],
    [2, 65, 1],
    [1, 1000, 1],
    [1, 10007, 3],
    [5, 300, 40],
    [1, 200000, 1],
    [2, 0, 3],
    [0, 4, 2],
  ] as const;
  for (const bindingBytes of [2 ** 27, 8192]) {
    narrow(machine, bindingBytes);
    for (const [outer, length, inner] of shapes) {
      const values = numbers(outer * length * inner, 3, 8);
      const input = upload(machine, values);
      for (const op of ["sum", "max", "max-abs"] as const) {
        const out = blank(machine, outer * inner);
        recordReduce(machine, { op, input, out, outer, length, inner });
        const wanted = Array.from({ length: outer * inner }, (_, e) => {
          let total = op === "max" ? -Infinity : 0;
          for (let r = 0; r < length; r++) {
            const value = values[(Math.floor(e / inner) * length + r) * inner + e % inner]!;
            total = op === "sum" ? total + value : Math.max(total, op === "max" ? value : Math.abs(value));
          }
          return total;
        });
        // Sums of random signs stay below 3 √length; the tree adds at most 64 numbers in a row, level by level.
        const tolerance = op === "sum" ? 3 * Math.sqrt(length) * 200 * EPSILON : 0;
        assertClose(await take(machine, out), wanted, tolerance, `${op} of ${outer}, ${length}, ${inner}`);
      }
      machine.pool.release(input.buffer);
    }
  }
  await machine.dispose();
});

testOnGpu("reduce: NaN anywhere gives NaN, infinities count", async () => {
  const machine = await openTestMachine();
  const table = [
    ["sum", NaN, NaN],
    ["max", NaN, NaN],
    ["max-abs", NaN, NaN],
    ["max", Infinity, Infinity],
    ["max", -Infinity, 1],
    ["max-abs", -Infinity, Infinity],
    ["sum", -Infinity, -Infinity],
  ] as const;
  for (const place of [0, 3, 64, 500, 999]) {
    for (const [op, value, expected] of table) {
      const values = new Float32Array(2000).fill(1);
      values[2 * place] = value;
      const [input, out] = [upload(machine, values), blank(machine, 2)];
      recordReduce(machine, { op, input, out, outer: 1, length: 1000, inner: 2 });
      const actual = await take(machine, out, input);
      assertSame(actual, [expected, op === "sum" ? 1000 : 1], `${op} with ${value} at ${place}`);
    }
  }
  const [input, out] = [upload(machine, new Float32Array(100).fill(-Infinity)), blank(machine, 1)];
  recordReduce(machine, { op: "max", input, out, outer: 1, length: 100, inner: 1 });
  assertEquals(Array.from(await take(machine, out, input)), [-Infinity]);
  await machine.dispose();
});

Deno.test("reduce and matmul: no invocation makes more turns than drivers take", () => {
  for (const inner of [0, 1, 16, 1000, 65537, 1e6, 1e7, 6e7]) {
    for (const [rows, columns] of [[1, 1], [64, 3], [1000, 1000], [5000, 8000]] as const) {
      const { slice, slices, turns } = planMatmul({ rows, inner, columns });
      assert(turns <= MAX_TURNS && slice * slices >= inner && (slices === 1 || slice % 16 === 0));
    }
  }
  for (const length of [1, 64, 65, 1e4, 65537, 1e6, 1e7]) {
    for (const [outer, inner] of [[1, 1], [3, 7], [1000, 100], [1, 1e6]] as const) {
      const { chunks, turns } = planReduction({ outer, length, inner });
      assert(turns <= MAX_TURNS && chunks.at(-1) === 1, `${length} ${outer} ${inner}: ${turns} turns`);
    }
  }
});
