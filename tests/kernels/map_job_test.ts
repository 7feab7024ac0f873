import { assert, assertEquals, assertThrows } from "@std/assert";
import { MAX_TURNS } from "../../kernels/kernel.ts";
import { DeviceError } from "../../src/core/errors.ts";
import { GpuEngine } from "../../src/engine/webgpu/engine.ts";
import { type MapPart, partsOf, rowsRead } from "../../src/engine/webgpu/map_parts.ts";
import { planMap } from "../../src/engine/webgpu/map_plan.ts";
import { traceRows } from "../../src/trace/rows.ts";
import * as ops from "../../src/trace/ops.ts";
import { ROW_CASES } from "../engine/map_cases.ts";
import { freeJob, mapJob, runPlain } from "../engine/map_support.ts";
import { openTestMachine, testOnGpu } from "../engine/webgpu/adapter.ts";
import { assertClose } from "../solve/arrays.ts";
import { mapKernels } from "./map_kernels.ts";

// How maps are cut: into products and kernels, into parts that fit a device's bindings.

const caseOf = (name: string): (typeof ROW_CASES)[number] => ROW_CASES.find((given) => given.name === name)!;

testOnGpu("map: arrays beyond a binding, in parts over sequences and steps", async () => {
  const machine = await openTestMachine();
  const engine = new GpuEngine(machine);
  const { pool, limits } = machine;
  const before = [pool.buffersInUse, pool.bytesInUse];
  for (const given of ROW_CASES) {
    const large = given.program.params.some(({ leaf }) => leaf.size > 1000);
    // Parameters are bound as a whole.
    const sizes = large ? [70_000] : /sums and|nine|scratch/.test(given.name) ? [2600, 4096] : [512, 1300, 4096];
    for (const [batch, time] of large ? [[1, 400], [40, 7]] : [[1, 67], [3, 65], [40, 3]]) {
      const data = runPlain(given, batch!, time!);
      for (const bytes of sizes) {
        const job = mapJob(engine, given, data, batch!, time!);
        const whole = limits.bindingBytes;
        (limits as { bindingBytes: number }).bindingBytes = bytes;
        const held = [pool.buffersInUse, pool.bytesInUse];
        engine.map(job);
        assertEquals([pool.buffersInUse, pool.bytesInUse], held, given.name);
        (limits as { bindingBytes: number }).bindingBytes = whole;
        for (const [k, { path }] of given.program.outputs.entries()) {
          const expected = data.expected[k]!;
          const size = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);
          const what = `${given.name}: ${path}, B = ${batch}, T = ${time}, ${bytes} bytes`;
          assertClose(await engine.read(job.outputs[k]!), expected, given.rounding * 2 ** -23 * size, what);
        }
        freeJob(engine, job);
      }
    }
  }
  assertEquals([pool.buffersInUse, pool.bytesInUse], before);
  await machine.dispose();
});

testOnGpu("map: what cannot be bound is refused, and nothing is kept", async () => {
  const machine = await openTestMachine();
  const engine = new GpuEngine(machine);
  const { pool, limits } = machine;
  for (const given of ROW_CASES) {
    const job = mapJob(engine, given, runPlain(given, 2, 3), 2, 3);
    const held = [pool.buffersInUse, pool.bytesInUse];
    const whole = limits.bindingBytes;
    (limits as { bindingBytes: number }).bindingBytes = 4;
    assertThrows(() => engine.map(job), DeviceError, "use fewer steps or sequences at a time");
    assertEquals([pool.buffersInUse, pool.bytesInUse], held, given.name);
    (limits as { bindingBytes: number }).bindingBytes = whole;
    freeJob(engine, job);
  }
  const wide = traceRows({ name: "wide", inputs: { x: [70_000] }, params: {}, fn: ({ x }) => ({ y: ops.sum(x) }) });
  const job = {
    program: wide,
    params: [],
    inputs: [{ memory: engine.upload(new Float32Array(70_000).fill(1)), start: null }],
    outputs: [engine.allocate("f32", 1)],
    batch: 1,
    time: 1,
  };
  engine.map(job);
  assertEquals(Array.from(await engine.read(job.outputs[0]!)), [70_000]);
  await machine.dispose();
});

Deno.test("map: elements where nothing mixes, products by their own kernel, no more bindings than there are", () => {
  const formsOf = (name: string): string[] =>
    mapKernels(caseOf(name), true).map(({ spec: { form } }) =>
      "elements" in form ? `elements ${form.elements}` : form.tile === null ? "rows" : `tile in ${form.tile.scratch}`
    );
  assertEquals(formsOf("sums of rows before and after"), ["elements 5"]);
  assertEquals(formsOf("one memory at many shifts"), ["elements 3"]);
  assertEquals(formsOf("parts side by side"), ["elements 4", "elements 1"]);
  assertEquals(formsOf("many parts"), ["tile in workgroup"]);
  assertEquals(formsOf("gates of a stacked product"), ["elements 64"]);
  assertEquals(formsOf("layers"), ["elements 80", "elements 60"]);
  assertEquals(formsOf("more scratch than a workgroup has"), ["tile in storage"]);
  for (const given of ROW_CASES) {
    for (const withStarts of [true, false]) {
      for (const { kernel, turns } of mapKernels(given, withStarts)) {
        assert(kernel.bindings.filter((kind) => kind !== "uniform").length <= 8, kernel.name);
        assert(turns <= MAX_TURNS, kernel.name);
      }
    }
  }
  assertEquals(planMap(caseOf("gates of a stacked product").program).steps.map(({ kind }) => kind), [
    "product",
    "product",
    "evaluate",
  ]);
});

Deno.test("map: parts hold every row once, and the rows that they read are there", () => {
  const plan = planMap(caseOf("sums of rows before and after").program);
  for (const [batch, time] of [[1, 1], [3, 10], [7, 4], [1, 100], [40, 1]] as const) {
    for (const words of [1, 5, 20, 23, 50, 100, 10_000]) {
      const seen = new Set<number>();
      for (const part of partsOf(plan, { shared: [], steps: [] }, { batch, time }, words)) {
        assert(part.batch === 1 || part.time === time);
        assert(part.batch * part.time === 1 || part.batch * part.time * 5 <= words);
        // Three rows before each sequence.
        assert(part.batch === 1 || part.batch * 15 <= words);
        for (let b = part.firstBatch; b < part.firstBatch + part.batch; b++) {
          for (let t = part.firstRow; t < part.firstRow + part.time; t++) {
            assert(b < batch && t < time && !seen.has(b * time + t));
            seen.add(b * time + t);
            checkRead(part, b, t, time);
          }
        }
      }
      assertEquals(seen.size, batch * time);
    }
  }
});

function checkRead(part: MapPart, b: number, t: number, time: number): void {
  for (const shifts of [[0], [1], [-1], [3, -2], [200]]) {
    const arrays = shifts.map((shift) => ({ kind: "step", size: 1, shift, source: { from: "made" } }) as const);
    const { first, end } = rowsRead(arrays, part, time);
    assert(first < end && first >= part.firstBatch * time && end <= (part.firstBatch + part.batch) * time);
    for (const shift of shifts) {
      const row = t - shift;
      if (row >= 0 && row < time) assert(b * time + row >= first && b * time + row < end);
    }
  }
}
