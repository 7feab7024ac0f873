import { assert, assertEquals } from "@std/assert";
import { MAX_TURNS } from "../../../kernels/kernel.ts";
import { SORT_TILE } from "../../../kernels/sort.ts";
import { createRandom } from "../../../src/core/random.ts";
import { recordGather, recordScatterAdd } from "../../../src/engine/webgpu/gather.ts";
import type { Machine } from "../../../src/engine/webgpu/machine.ts";
import type { GpuMemory } from "../../../src/engine/webgpu/memory.ts";
import { assertClose, assertSame, numbers } from "../../solve/arrays.ts";
import { openTestMachine, testOnGpu } from "./adapter.ts";

const GUARD = 12345;
const EPSILON = 2 ** -23;

function upload(machine: Machine, data: Float32Array | Uint32Array): GpuMemory {
  const buffer = machine.pool.allocate(data.byteLength, "test");
  machine.write(buffer, data);
  return { dtype: "f32", length: data.length, buffer };
}

/** The first words of an array with guards behind it, which is given back. */
async function take(machine: Machine, { buffer, length }: GpuMemory): Promise<Float32Array> {
  const all = new Float32Array(await machine.read(buffer, 0, 4 * length));
  assert(all.subarray(length - 64).every((value) => value === GUARD), "guard words were overwritten");
  machine.pool.release(buffer);
  return all.slice(0, length - 64);
}

testOnGpu("gather and scatterAdd: in parts of small bindings, within their arrays, and nothing is left", async () => {
  const machine = await openTestMachine();
  const { pool } = machine;
  for (const bindingBytes of [2 ** 27, 4096]) {
    (machine.limits as { bindingBytes: number }).bindingBytes = bindingBytes;
    for (const [count, rows, width] of [[3000, 50, 7], [700, 3, 300], [2500, 900, 1]] as const) {
      const before = [pool.buffersInUse, pool.bytesInUse];
      const given = Uint32Array.from({ length: count }, (_, n) => (n * n + 3 * n) % (rows + 1));
      const [table, values] = [numbers(rows * width, 1, 1), numbers(count * width, 1, 2)];
      const blank = (length: number): GpuMemory => upload(machine, new Float32Array(length + 64).fill(GUARD));
      const [source, from, indices] = [Float32Array.from(table), Float32Array.from(values), given]
        .map((data) => upload(machine, data)) as [GpuMemory, GpuMemory, GpuMemory];
      const [gathered, sums] = [blank(count * width), blank(rows * width)];
      recordGather(machine, { table: source, indices, out: gathered, rows, width, count });
      recordScatterAdd(machine, { from, indices, out: sums, rows, width, count });
      const expected = new Float64Array(rows * width);
      const looked = new Float64Array(count * width).fill(NaN);
      given.forEach((row, n) => {
        for (let i = 0; i < width && row < rows; i++) {
          expected[row * width + i]! += values[n * width + i]!;
          looked[n * width + i] = table[row * width + i]!;
        }
      });
      const what = `${count} of ${rows} × ${width}, bindings of ${bindingBytes}`;
      assertSame(await take(machine, gathered), looked, `gather, ${what}`);
      assertClose(await take(machine, sums), expected, 3 * Math.sqrt(count) * 200 * EPSILON, `scatterAdd, ${what}`);
      for (const { buffer } of [source, from, indices]) pool.release(buffer);
      assertEquals([pool.buffersInUse, pool.bytesInUse], before, what);
    }
  }
  await machine.dispose();
});

testOnGpu("scatterAdd: of one part each word of the table is written once, by one invocation", async () => {
  const adapter = (await navigator.gpu.requestAdapter())!;
  const device = await adapter.requestDevice();
  const { createShaderModule } = device;
  let changed = 0;
  device.createShaderModule = ({ label = "", code }) => {
    // What is written twice loses what was there.
    const once = code.replaceAll("+= total;", "= total;");
    if (once !== code) changed++;
    return createShaderModule.call(device, { label, code: once });
  };
  const machine = await openTestMachine({ gpuDevice: device });
  for (const [count, rows] of [[5000, 3], [5000, 256], [3000, 2000], [64 * 64 * 3, 7]] as const) {
    const random = createRandom(rows);
    const given = Uint32Array.from({ length: count }, () => Math.floor(random.uniform() * (rows + 2)));
    const values = numbers(count, 1, 5);
    const expected = new Float64Array(rows);
    given.forEach((row, n) => row < rows && (expected[row]! += values[n]!));
    const [from, indices] = [upload(machine, Float32Array.from(values)), upload(machine, given)];
    const out = upload(machine, new Float32Array(rows + 64).fill(GUARD));
    recordScatterAdd(machine, { from, indices, out, rows, width: 1, count });
    assertClose(await take(machine, out), expected, 3 * Math.sqrt(count) * 200 * EPSILON, `${count} of ${rows}`);
  }
  assert(changed > 0);
  await machine.dispose();
  device.destroy();
});

Deno.test("gather and scatterAdd: the sort of as many keys as are taken at a time makes few enough turns", () => {
  // Two loops over tiles in fours, and the sum over digits.
  assert(2 * (2 ** 24 / SORT_TILE / 4 + 1) + 10 <= MAX_TURNS);
});
