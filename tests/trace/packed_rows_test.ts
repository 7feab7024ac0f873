import { assertEquals } from "@std/assert";
import { engineOf } from "../../src/device.ts";
import { type PackedPart, packedRows } from "../../src/trace/packed_rows.ts";
import { MACHINES, testOn } from "../solve/machines.ts";

testOn(MACHINES, "packed rows: arrays in their order, however many, at their own rows", async (device) => {
  const engine = engineOf(device);
  const [batch, time] = [2, 4];
  // More than ten, as names in the order of their digits would mix them up; of more sorts than a kernel binds.
  const parts = Array.from({ length: 13 }, (_, k): PackedPart => ({
    size: 1 + k % 3,
    ...(k % 4 === 1 && { shift: 1 }),
    ...(k % 5 === 2 && { absent: true }),
    ...(k === 6 && { per: "sequence" }),
  }));
  // Element e of row t of sequence b of array k, a number of its own; zeros before the first row.
  const value = (k: number, b: number, t: number, e: number): number => t < 0 ? 0 : 1000 * k + 100 * b + 10 * t + e;
  const memories = parts.flatMap(({ size, absent, per }, k) => {
    if (absent) return [];
    const rows = per === "sequence" ? 1 : time;
    const at = (i: number): number => value(k, Math.floor(i / (rows * size)), Math.floor(i / size) % rows, i % size);
    return [engine.upload(Float32Array.from({ length: batch * rows * size }, (_, i) => at(i)), `array ${k}`)];
  });
  const width = parts.reduce((sum, { size }) => sum + size, 0);
  const out = engine.allocate(engine.dtype, batch * time * width, "rows");
  const inputs = memories.map((memory) => ({ memory, start: null }));
  engine.map({ program: packedRows(parts), params: [], inputs, outputs: [out], batch, time });
  const expected: number[] = [];
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < time; t++) {
      for (const [k, { size, shift = 0, absent, per }] of parts.entries()) {
        const row = per === "sequence" ? 0 : t - shift;
        for (let e = 0; e < size; e++) expected.push(absent ? 0 : value(k, b, row, e));
      }
    }
  }
  assertEquals(Array.from(await engine.read(out)), expected);
  for (const memory of [...memories, out]) engine.free(memory);
});
