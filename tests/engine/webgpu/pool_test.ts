import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { DeviceError } from "../../../src/core/errors.ts";
import { sizeClass } from "../../../src/engine/webgpu/pool.ts";
import { openTestMachine, testOnGpu } from "./adapter.ts";
import { affine, readWords } from "./kernels.ts";

Deno.test("pool: sizes grow by at most an eighth, in whole words, and are classes themselves", () => {
  for (let bytes = 1; bytes < 2 ** 31; bytes = Math.ceil(bytes * 1.037) + 1) {
    const size = sizeClass(bytes);
    assert(size >= bytes && size % 4 === 0 && (size <= 256 || size <= bytes * 9 / 8), `${bytes}: ${size}`);
    assertEquals(sizeClass(size), size);
  }
  assertEquals([sizeClass(0), sizeClass(256), sizeClass(2 ** 27)], [256, 256, 2 ** 27]);
});

testOnGpu("pool: released buffers come back, while recorded work still uses them", async () => {
  const machine = await openTestMachine();
  const kept = machine.pool.allocate(400, "kept");
  const first = machine.pool.allocate(400, "first");
  assert(kept !== first);
  machine.write(first, Uint32Array.of(1));
  affine(machine, first, { end: 1, term: 1 });
  machine.copy(first, 0, kept, 0, 4);
  machine.pool.release(first);
  const second = machine.pool.allocate(399, "second");
  assertStrictEquals(second, first);
  machine.write(second, Uint32Array.of(9));
  assertEquals(await readWords(machine, kept, 0, 1), [2]);
  assertEquals(await readWords(machine, second, 0, 1), [9]);
  const indirect = machine.pool.allocate(400, "indirect", true);
  machine.pool.release(indirect);
  assert(machine.pool.allocate(400, "plain") !== indirect);
  await machine.dispose();
});

testOnGpu("pool: a buffer released twice, or of another pool, is named", async () => {
  const machine = await openTestMachine();
  const other = await openTestMachine();
  const buffer = machine.pool.allocate(4, "a trajectory");
  machine.pool.release(buffer);
  assertThrows(
    () => machine.pool.release(buffer),
    DeviceError,
    'Cannot release buffer "a trajectory": it was released',
  );
  assertThrows(() => other.pool.release(buffer), DeviceError, "it is not of this pool");
  await Promise.all([machine.dispose(), other.dispose()]);
});

testOnGpu("pool: 200 rounds of allocating and releasing stay flat", async () => {
  const machine = await openTestMachine();
  const { pool } = machine;
  const footprints: number[] = [];
  for (let round = 0; round < 200; round++) {
    const buffers = [3e6, 5e6, 1e6, 4].map((bytes) => pool.allocate(bytes, "work"));
    for (const buffer of buffers) affine(machine, buffer, { end: 1, term: 1 });
    footprints.push(pool.bytesInUse + pool.freeBytes);
    for (const buffer of buffers) pool.release(buffer);
  }
  assertEquals(new Set(footprints).size, 1);
  assertEquals([pool.buffersInUse, pool.bytesInUse], [0, 0]);
  assertEquals(pool.highWaterBytes, footprints[0]);
  pool.resetHighWater();
  assertEquals(pool.highWaterBytes, 0);
  machine.check();
  await machine.dispose();
});

testOnGpu("pool: of ever other sizes no more is kept than was in use at once; the oldest go", async () => {
  const machine = await openTestMachine();
  const { pool } = machine;
  const bound = 64 * 2 ** 20;
  for (let k = 0; k < 40; k++) {
    const buffer = pool.allocate(2 ** 20 * (4 + k), "ever larger");
    affine(machine, buffer, { end: 1, term: 1 });
    pool.release(buffer);
    assert(pool.freeBytes <= bound, `${pool.freeBytes} bytes lie free`);
  }
  // Those that were destroyed were still in recorded work.
  const last = pool.allocate(4, "last");
  affine(machine, last, { end: 1 });
  await machine.read(last, 0, 4);
  await machine.dispose();
  assertEquals([pool.buffersInUse, pool.bytesInUse, pool.freeBytes], [0, 0, 0]);
});

testOnGpu("pool: what no buffer of the device can hold is refused at once, and the device stays usable", async () => {
  const machine = await openTestMachine({ limits: "default" });
  assertEquals(machine.limits.bufferBytes, 2 ** 28);
  assertThrows(
    () => machine.pool.allocate(2 ** 28 + 4, "a trajectory"),
    DeviceError,
    `Cannot allocate "a trajectory": ${2 ** 28 + 4} bytes are needed, and a buffer of this device holds at most ` +
      `${2 ** 28}; ask for fewer steps or sequences at a time`,
  );
  assertThrows(() => machine.pool.allocate(NaN, "nonsense"), DeviceError, "NaN bytes");
  const buffer = machine.pool.allocate(4, "x");
  machine.write(buffer, Uint32Array.of(3));
  assertEquals(await readWords(machine, buffer, 0, 1), [3]);
  await machine.dispose();
});

testOnGpu("pool: sizes are not rounded beyond a limit that they keep", async () => {
  const machine = await openTestMachine({ limits: "default" });
  const { bufferBytes, bindingBytes } = machine.limits;
  assertEquals([bufferBytes, bindingBytes], [2 ** 28, 2 ** 27]);
  for (const bytes of [bindingBytes - 4, bindingBytes]) {
    const buffer = machine.pool.allocate(bytes, "x");
    assertEquals(buffer.size, bindingBytes);
    machine.pool.release(buffer);
  }
  await machine.dispose();
});
