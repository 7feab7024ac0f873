import { assert, assertEquals, assertThrows } from "@std/assert";
import { MAX_TURNS } from "../../kernels/kernel.ts";
import { TILE_MOST } from "../../kernels/scan_tile.ts";
import { DeviceError } from "../../src/core/errors.ts";
import type { MonoidKind } from "../../src/engine/engine.ts";
import type { GpuMemory } from "../../src/engine/webgpu/memory.ts";
import { recordScan, splitScan } from "../../src/engine/webgpu/scan_job.ts";
import { planScan } from "../../src/engine/webgpu/scan_plan.ts";
import { openTestMachine, testOnGpu } from "../engine/webgpu/adapter.ts";
import { assertClose } from "../solve/arrays.ts";
import { SCAN_AND_ARRAY_KERNELS } from "./scan_kernels.ts";
import { fold, type HostScan, randomScan } from "./scan_support.ts";

// How scans are cut: into chunks, into parts that fit a device's bindings.

const SIZES: readonly (readonly [matrix: "scalar" | "full" | "identity" | "zero", size: number])[] = [
  ["scalar", 1],
  ["full", 1],
  ["full", 4],
  ["identity", 1],
  ["zero", 1],
  ...[5, 16, 32, TILE_MOST, TILE_MOST + 1, 128, 1000].map((size) => ["full", size] as const),
];

Deno.test("planScan: every row is in one chunk, and no invocation makes more turns than drivers take", () => {
  for (const [matrix, size] of SIZES) {
    for (const sequences of [1, 7, 31, 32, 1000, 65536, 1e6]) {
      for (const time of [0, 1, 2, 63, 64, 255, 256, 1000, 4095, 4096, 65537, 1e6, 1e7]) {
        const plan = planScan({ batch: 1, units: sequences, size, matrix, time });
        const what = `${matrix} ${size} × ${sequences}, T ${time}`;
        assert(plan.turns <= MAX_TURNS, `${what}: ${plan.turns} turns`);
        let count = time;
        const levels = [plan, ...plan.spine];
        for (const { rows, chunks, chunkRows } of levels) {
          assertEquals(rows, count, what);
          assert(
            chunks * chunkRows >= rows && (chunks - 1) * chunkRows < Math.max(rows, 1),
            `${what}: cut into ${chunks}`,
          );
          count = chunks;
        }
        if (plan.form !== "wide" && matrix !== "zero") assertEquals(count, 1, what);
        if (plan.form !== "wide" && plan.chunks > 1 && matrix !== "zero") assert(plan.chunkRows >= 64, what);
      }
    }
  }
});

Deno.test("planScan: lanes on channels, on time, on products, on rows", () => {
  const formOf = (size: number, units: number, time: number): string =>
    planScan({ batch: 1, time, units, size, matrix: "full" }).form;
  assertEquals(formOf(1, 8, 1e6), "lanes");
  assertEquals(formOf(1, 7, 1e6), "time");
  assertEquals(formOf(1, 7, 4095), "lanes");
  assertEquals(formOf(4, 1, 1e6), "lanes");
  assertEquals(formOf(5, 1, 10), "tile");
  assertEquals(formOf(TILE_MOST + 1, 1, 10), "wide");
});

Deno.test("splitScan: whole sequences, then rows, each once and within the limit", () => {
  const table: readonly (readonly [batch: number, time: number, wordsPerRow: number, most: number, beside: number])[] =
    [
      [5, 10, 3, 1000, 0],
      [5, 10, 3, 100, 0],
      [3, 10, 3, 10, 0],
      [2, 7, 9, 9, 0],
      [2, 7, 9, 18, 1],
      [2, 7, 9, 63, 1],
    ];
  for (const [batch, time, wordsPerRow, most, beside] of table) {
    const seen = new Set<number>();
    for (const part of splitScan(batch, time, wordsPerRow, most, beside)) {
      const rows = part.batch * part.time + (part.firstRow > 0 ? beside : 0);
      assert(rows * wordsPerRow <= most);
      assert(part.batch === 1 || part.time === time);
      for (let b = part.firstBatch; b < part.firstBatch + part.batch; b++) {
        for (let r = part.firstRow; r < part.firstRow + part.time; r++) {
          assertEquals(seen.has(b * time + r), false);
          seen.add(b * time + r);
        }
      }
    }
    assertEquals(seen.size, batch * time);
  }
  assertThrows(
    () => splitScan(1, 1, 100, 99),
    DeviceError,
    "Cannot scan: one step takes 400 bytes, and a binding of this device about 396; use blocks or diagonals",
  );
  assertThrows(
    () => splitScan(1, 2, 100, 199, 1),
    DeviceError,
    "Cannot scan: two steps take 800 bytes, and a binding of this device about 796; use blocks or diagonals",
  );
});

testOnGpu("scans and arrays: every kernel compiles within the default limits and has a name of its own", async () => {
  const machine = await openTestMachine({ limits: "default" });
  await machine.warm(SCAN_AND_ARRAY_KERNELS);
  for (const { name, bindings } of SCAN_AND_ARRAY_KERNELS) {
    assert(bindings.filter((kind) => kind !== "uniform").length <= 8, `${name} takes ${bindings.length} buffers`);
  }
  assertEquals(new Set(SCAN_AND_ARRAY_KERNELS.map(({ name }) => name)).size, SCAN_AND_ARRAY_KERNELS.length);
  await machine.dispose();
});

testOnGpu("recordScan: every monoid, also where nothing fits a binding at once", async () => {
  const machine = await openTestMachine();
  const limits = machine.limits as { bindingBytes: number };
  const whole = limits.bindingBytes;
  const upload = (values: Float32Array): GpuMemory => {
    const buffer = machine.pool.allocate(values.byteLength, "test");
    machine.write(buffer, values);
    return { dtype: "f32", length: values.length, buffer };
  };
  const table: readonly (readonly [MonoidKind, state: number, block: number])[] = [
    ["scalar", 3, 1],
    ["diagonal", 5, 1],
    ["block", 6, 2],
    ["block", 12, 6],
    ["dense", 3, 1],
    ["dense", 9, 1],
  ];
  const inUse = machine.pool.buffersInUse;
  for (const [monoid, state, block] of table) {
    const size = monoid === "dense" ? state : monoid === "block" ? block : 1;
    for (const bindingBytes of [whole, 40_000, 5_000]) {
      for (
        const [reverse, withStart, adjoint] of [
          [false, true, false],
          [true, true, false],
          [true, false, false],
          [true, false, true],
          [false, true, true],
        ] as const
      ) {
        const time = 600;
        const scan: HostScan = randomScan(
          {
            sink: "recurrence",
            matrix: monoid === "scalar" ? "scalar" : "full",
            size,
            units: state / size,
            layout: "contiguous",
            reverse,
            adjoint,
            batch: 3,
            time,
          },
          state,
          withStart,
        );
        const [a, b] = [upload(scan.A!), upload(scan.F)];
        const h0 = scan.start === undefined ? null : upload(scan.start);
        const out = upload(new Float32Array(scan.F.length));
        limits.bindingBytes = bindingBytes;
        recordScan(machine, { monoid, a, b, h0, out, batch: 3, time, state, block, reverse, adjoint });
        limits.bindingBytes = whole;
        const ys = new Float32Array(await machine.read(out.buffer, 0, 4 * out.length));
        const what = `${monoid} ${state}, blocks of ${block}, ${bindingBytes} bytes${reverse ? ", reverse" : ""}${
          adjoint ? ", adjoint" : ""
        }`;
        assertClose(ys, fold(scan), 64 * 2 ** -23, what);
        for (const memory of [a, b, h0, out]) if (memory !== null) machine.pool.release(memory.buffer);
      }
    }
  }
  assertEquals(machine.pool.buffersInUse, inUse);
  await machine.dispose();
});
