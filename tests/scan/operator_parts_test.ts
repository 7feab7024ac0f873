// How scans with operators are cut: into chunks, into parts that fit a device's bindings; the turns of their loops.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { MAX_TURNS } from "../../kernels/kernel.ts";
import { operatorTurns } from "../../kernels/operator_scan.ts";
import { associativeScan, defineOperator, DeviceError, openDevice, ops } from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import type { Machine } from "../../src/engine/webgpu/machine.ts";
import type { GpuMemory } from "../../src/engine/webgpu/memory.ts";
import { operatorPlan } from "../../src/engine/webgpu/operator_code.ts";
import { planOperatorChunks, recordOperatorScan } from "../../src/engine/webgpu/operator_scan.ts";
import { operatorProgram } from "../../src/scan/define_operator.ts";
import { openTestMachine, testOnGpu } from "../engine/webgpu/adapter.ts";
import { openCounting } from "../kernels/counting.ts";
import { OPERATOR_KERNELS, operatorKernels } from "../kernels/operator_kernels.ts";
import { assertClose } from "../solve/arrays.ts";
import { OPERATOR_CASES, type OperatorCase, operatorCase } from "./operator_cases.ts";
import { drawElements, elementArrays, foldPlain, leavesOf, paramArrays } from "./operator_support.ts";

const product = (n: number) =>
  defineOperator({
    name: `product of ${n}`,
    element: { m: [n, n] },
    combine: (earlier, later) => ({ m: ops.matmul(later.m, earlier.m) }),
  });

Deno.test("planOperatorChunks: every row is in one chunk, and no invocation makes more turns than drivers take", () => {
  // 32 × 32 is the largest product that private memory holds.
  const programs = [...OPERATOR_CASES.map(({ operator }) => operator), product(32)].map(operatorProgram);
  for (const program of programs) {
    const plan = operatorPlan(program);
    for (const source of ["arrays", "packed"] as const) {
      const turns = plan.turns(source);
      for (const batch of [1, 3, 1000, 65536, 1e6]) {
        for (const time of [1, 2, 31, 127, 128, 129, 1000, 65537, 1e6, 1e7]) {
          let [rows, levels] = [time, 0];
          while (true) {
            const { chunks, chunkRows } = planOperatorChunks(batch, rows, turns);
            const what = `${program.name}, B ${batch}, T ${time}, ${rows} rows: ${chunks} chunks of ${chunkRows}`;
            assert(chunkRows * turns.row + turns.fixed <= MAX_TURNS, what);
            assert(chunks * chunkRows >= rows && (chunks - 1) * chunkRows < rows, what);
            if (chunks === 1) break;
            [rows, levels] = [chunks, levels + 1];
            assert(levels < 12, what);
          }
        }
      }
    }
  }
});

Deno.test("planOperatorChunks: enough chunks, and not too many", () => {
  const turns = { row: 1, fixed: 2 };
  assertEquals(planOperatorChunks(1, 127, turns), { chunks: 1, chunkRows: 127 });
  assertEquals(planOperatorChunks(1, 128, turns), { chunks: 4, chunkRows: 32 });
  assertEquals(planOperatorChunks(1, 129, turns), { chunks: 5, chunkRows: 32 });
  assertEquals(planOperatorChunks(1, 65536 * 100, turns), { chunks: 65536, chunkRows: 100 });
  assertEquals(planOperatorChunks(65536, 1000, turns), { chunks: 1, chunkRows: 1000 });
  assertEquals(planOperatorChunks(65536, 100_000, turns), { chunks: 2, chunkRows: 59998 });
  assertEquals(planOperatorChunks(1, 1000, { row: 2000, fixed: 1000 }), { chunks: 35, chunkRows: 29 });
  assertThrows(
    () => planOperatorChunks(1, 10, { row: 30_000, fixed: 100 }),
    DeviceError,
    "Cannot scan: to combine two elements takes 30000 turns of loops, and an invocation should not make more than 60000",
  );
});

const GUARD_WORDS = 64;
const GUARD = 12345.5;

/** A scan by the engine's own job, the answers between guards: rows of every leaf. */
async function scanByJob(
  machine: Machine,
  given: OperatorCase,
  [batch, time]: readonly [number, number],
  reverse: boolean,
  seed: number,
): Promise<void> {
  const upload = (values: ArrayLike<number>, guards = 0): GpuMemory => {
    const words = new Float32Array(values.length + guards).fill(GUARD);
    words.set(Float32Array.from(values));
    const buffer = machine.pool.allocate(words.byteLength, "test");
    machine.write(buffer, words);
    return { dtype: "f32", length: values.length, buffer };
  };
  const elements = drawElements(given, batch * time, seed);
  const expected = foldPlain(given, elements, batch, time, reverse);
  const leaves = leavesOf(given);
  const rows = (list: typeof elements, path: string): number[] => list.flatMap((element) => element[path]!);
  const inputs = leaves.map(([path]) => upload(rows(elements, path)));
  const outputs = leaves.map(([path]) => upload(rows(expected, path).map(() => NaN), GUARD_WORDS));
  const program = operatorProgram(given.operator);
  const params = program.params.map(({ path }) => upload(given.params[path]!));
  try {
    recordOperatorScan(machine, { program, params, inputs, outputs, batch, time, reverse });
    for (const [k, [path]] of leaves.entries()) {
      const { buffer, length } = outputs[k]!;
      const words = new Float32Array(await machine.read(buffer, 0, 4 * (length + GUARD_WORDS)));
      assert(words.subarray(length).every((word) => word === GUARD), `${path}: guard words were overwritten`);
      const wanted = rows(expected, path);
      const size = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 1);
      const what = `${given.operator.name}, ${path}, ${[batch, time]}, ${machine.limits.bindingBytes} bytes`;
      assertClose(words.subarray(0, length), wanted, given.tolerance * 2 ** -23 * time * size, what);
    }
  } finally {
    for (const { buffer } of [...params, ...inputs, ...outputs]) machine.pool.release(buffer);
  }
}

testOnGpu("operators: where nothing fits a binding at once, parts hand on the prefix", async () => {
  const machine = await openTestMachine();
  const limits = machine.limits as { bindingBytes: number };
  const whole = limits.bindingBytes;
  const inUse = machine.pool.buffersInUse;
  for (const name of ["affine", "largest", "decay", "moments", "product of 4", "bounded maximum"]) {
    const given = operatorCase(name);
    for (const bindingBytes of [whole, 40_000, 5_000, 1_500]) {
      limits.bindingBytes = bindingBytes;
      for (const reverse of [false, true]) {
        await scanByJob(machine, given, [3, 600], reverse, 5);
        assertEquals(machine.pool.buffersInUse, inUse, name);
      }
      limits.bindingBytes = whole;
    }
  }
  await machine.dispose();
});

testOnGpu("operators: what a device refuses leaves nothing behind", async () => {
  const machine = await openTestMachine();
  const limits = machine.limits as { bindingBytes: number };
  const whole = limits.bindingBytes;
  const inUse = machine.pool.buffersInUse;
  // One element of 24 words does not fit.
  limits.bindingBytes = 300;
  const refused = await scanByJob(machine, operatorCase("moments"), [1, 300], false, 1).catch((error) => error);
  assert(refused instanceof DeviceError, String(refused));
  assertEquals(machine.pool.buffersInUse, inUse);
  limits.bindingBytes = whole;
  // A device that is lost in the middle.
  for (const name of ["decay", "moments"]) {
    let calls = 0;
    for (let most = 0; most <= calls; most++) {
      calls = 0;
      const { dispatch } = machine;
      machine.dispatch = (...args) => {
        if (calls++ === most) throw new DeviceError("lost");
        dispatch.apply(machine, args);
      };
      const lost = await scanByJob(machine, operatorCase(name), [1, 300], false, 1).catch((error) => error);
      machine.dispatch = dispatch;
      assert(calls <= most ? lost === undefined : lost instanceof DeviceError, `${name}, dispatch ${most}: ${lost}`);
      assertEquals(machine.pool.buffersInUse, inUse, name);
    }
    assert(calls >= 3, name);
  }
  await machine.dispose();
});

testOnGpu("operators: every kernel compiles within the default limits and has a name of its own", async () => {
  const machine = await openTestMachine({ limits: "default" });
  await machine.warm(OPERATOR_KERNELS);
  for (const { name, bindings } of OPERATOR_KERNELS) {
    assert(bindings.filter((kind) => kind !== "uniform").length <= 8, `${name} takes ${bindings.length} buffers`);
  }
  const operators = OPERATOR_CASES.flatMap(operatorKernels).map(({ kernel }) => kernel.name);
  assertEquals(new Set(operators).size, operators.length);
  await machine.dispose();
});

testOnGpu("operators: no kernel makes more turns than its plan says", async () => {
  let counted = 0;
  for (const given of OPERATOR_CASES) {
    const { device: gpuDevice, read } = await openCounting();
    const device = await openDevice({ gpuDevice });
    // Two levels, of arrays and packed, each with a reduction.
    const [batch, time] = [1, 4500];
    const elements = elementArrays(given, drawElements(given, batch * time, 1), [time]);
    const answer = associativeScan(given.operator, elements, { device, params: paramArrays(given) });
    await engineOf(device).read(engineOf(device).upload(new Float32Array(1)));
    const counts = new Map(await read());
    await device.dispose();
    gpuDevice.destroy();
    assert(Object.keys(answer).length > 0);
    for (const { spec, kernel } of operatorKernels(given)) {
      const { row, fixed } = operatorTurns(spec);
      const turns = counts.get(kernel.name);
      assert(turns !== undefined && turns > 0, `${kernel.name} did not run`);
      const most = Math.max(
        ...[time, Math.ceil(time / 29), Math.ceil(time / 32)].map((rows) =>
          planOperatorChunks(batch, rows, { row, fixed }).chunkRows
        ),
      );
      assert(turns <= fixed + most * row, `${kernel.name} makes ${turns} turns, planned are ${fixed + most * row}`);
      counted++;
    }
  }
  assert(counted >= 4 * OPERATOR_CASES.length - 2, `${counted} kernels ran`);
});
