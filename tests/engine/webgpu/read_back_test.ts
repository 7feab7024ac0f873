import { assert, assertEquals } from "@std/assert";
import { openTestMachine, testOnGpu } from "./adapter.ts";
import { affine } from "./kernels.ts";

/** Words that tell their place. */
function pattern(length: number): Uint32Array {
  return Uint32Array.from({ length }, (_, i) => Math.imul(i + 1, 2654435761) >>> 0);
}

testOnGpu("reading: with and without waiting the same bytes come, at any place and size", async () => {
  const machine = await openTestMachine();
  const words = pattern(400_000);
  const bytes = new Uint8Array(words.buffer);
  const buffer = machine.pool.allocate(words.byteLength, "x");
  machine.write(buffer, words);
  let taken = 0;
  for (const [offset, length] of [[0, 0], [0, 4], [4, 8], [1, 1], [3, 6], [8, 1e6], [0, 1.5e6], [100_001, 1.4e6 + 3]]) {
    // Twice: the second meets staging buffers that were in use before.
    for (let round = 0; round < 2; round++) {
      const expected = bytes.slice(offset, offset! + length!);
      assertEquals(new Uint8Array(await machine.read(buffer, offset!, length!)), expected);
      const now = machine.readNow(buffer, offset!, length!);
      if (now !== null) taken++;
      assertEquals(new Uint8Array(now ?? expected), expected);
    }
  }
  // This runs in Deno, on Deno's own device.
  assertEquals(taken, 16);
  assertEquals(machine.readBacks, 32);
  await machine.dispose();
});

testOnGpu("reading: many at once, in the order of the work between them", async () => {
  const machine = await openTestMachine();
  const buffer = machine.pool.allocate(2 ** 21, "x");
  machine.clear(buffer);
  const readings: Promise<ArrayBuffer>[] = [];
  for (let i = 0; i < 20; i++) {
    affine(machine, buffer, { end: 2, term: 1 });
    // Sizes for which no staging buffer is warm are waited for, and overlap.
    readings.push(machine.read(buffer, 0, i % 2 === 0 ? 8 : 2 ** 21));
  }
  const seen = (await Promise.all(readings)).map((data) => new Uint32Array(data, 0, 2)[1]);
  assertEquals(seen, Array.from({ length: 20 }, (_, i) => i + 1));
  await machine.dispose();
});

testOnGpu("reading: answers belong to the reader", async () => {
  const machine = await openTestMachine();
  const buffer = machine.pool.allocate(16, "x");
  machine.write(buffer, Uint32Array.of(1, 2, 3, 4));
  const first = new Uint32Array(await machine.read(buffer, 0, 16));
  affine(machine, buffer, { end: 4, factor: 5 });
  const second = new Uint32Array(machine.readNow(buffer, 0, 16) ?? await machine.read(buffer, 0, 16));
  assertEquals([[...first], [...second]], [[1, 2, 3, 4], [5, 10, 15, 20]]);
  await machine.dispose();
});

testOnGpu("reading: a small answer takes less than Deno's sleep of 10 ms", async () => {
  const machine = await openTestMachine();
  const buffer = machine.pool.allocate(1024, "x");
  const times: number[] = [];
  for (let i = 0; i < 20; i++) {
    const start = performance.now();
    await machine.read(buffer, 0, 1024);
    times.push(performance.now() - start);
  }
  const median = times.sort((a, b) => a - b)[10]!;
  assert(median < 8, `${median} ms`);
  await machine.dispose();
});
