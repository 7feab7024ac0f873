import { assertEquals } from "@std/assert";
import type { Device } from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import type { Memory } from "../../src/engine/engine.ts";
import { memoryOf, tensor } from "../../src/tensor.ts";
import { createRandom } from "../../src/core/random.ts";
import { assertClose, assertSame, host, numbers } from "../solve/arrays.ts";
import { MACHINES, testOn } from "../solve/machines.ts";

const on = (device: Device, data: Float64Array): Memory => memoryOf(tensor(device, host(data, [data.length])));

/** Whole numbers below `rows`, and every so often one that is no row. */
function indicesOf(kind: string, count: number, rows: number): Int32Array {
  const random = createRandom(count + rows);
  const some = (): number => Math.floor(random.uniform() * rows);
  const rules: Record<string, (n: number) => number> = {
    random: some,
    outside: (n) => n % 3 === 0 ? [-1, rows, 2 ** 31 - 1, -(2 ** 31)][n / 3 % 4]! : some(),
    "one row": () => rows - 1,
    // Most entries of one key, which crosses many chunks, between others that end within one.
    crowded: (n) => n % 5 === 0 ? some() : rows >> 1,
    rising: (n) => n % rows,
    runs: (n) => Math.floor(n / 64) % rows,
  };
  return Int32Array.from({ length: count }, (_, n) => rules[kind]!(n));
}

const SHAPES: readonly [count: number, rows: number, width: number][] = [
  [0, 3, 2],
  [1, 1, 1],
  [5, 1, 3],
  [7, 4, 0],
  [63, 2, 1],
  [64, 5, 3],
  [65, 5, 1],
  // Around a tile of the sort, and where a second and a third pass begin.
  [2047, 255, 2],
  [2049, 256, 1],
  [2500, 257, 3],
  [4100, 70_000, 1],
  [9000, 30, 5],
];

for (const kind of ["random", "outside", "one row", "crowded", "rising", "runs"]) {
  testOn(MACHINES, `gather and scatterAdd: ${kind} indices, against loops`, async (device, { epsilon }) => {
    const engine = engineOf(device);
    for (const [count, rows, width] of SHAPES) {
      const what = `${count} of ${rows} × ${width}`;
      const given = indicesOf(kind, count, rows);
      const indices = engine.upload(kind === "random" ? Uint32Array.from(given) : given);
      const table = numbers(rows * width, 1, 3);
      const gathered = engine.allocate(engine.dtype, count * width);
      engine.gather({ table: on(device, table), indices, out: gathered, rows, width, count });
      const expected = Float64Array.from({ length: count * width }, (_, e) => {
        const row = given[Math.floor(e / width)]!;
        return row >= 0 && row < rows ? table[row * width + e % width]! : NaN;
      });
      assertSame(await engine.read(gathered), expected, `gather, ${what}`);

      const values = numbers(count * width, 1, 4);
      const sums = new Float64Array(rows * width);
      for (const [n, row] of given.entries()) {
        if (row < 0 || row >= rows) continue;
        for (let i = 0; i < width; i++) sums[row * width + i]! += values[n * width + i]!;
      }
      const added = [0, 1].map(() => {
        const out = on(device, new Float64Array(rows * width).fill(7));
        engine.scatterAdd({ from: on(device, values), indices, out, rows, width, count });
        return out;
      });
      const [actual, again] = [await engine.read(added[0]!), await engine.read(added[1]!)];
      // Sums of random signs stay below 3 √count; a tree of levels of 64.
      assertClose(actual, sums, 3 * Math.sqrt(count) * 200 * epsilon, `scatterAdd, ${what}`);
      assertEquals(again, actual, `scatterAdd again, ${what}`);
    }
  });
}

testOn(MACHINES, "scatterAdd: NaN poisons its own row only", async (device) => {
  const engine = engineOf(device);
  const values = new Float64Array(400).fill(1);
  values[150] = NaN;
  const indices = engine.upload(Uint32Array.from({ length: 400 }, (_, n) => Math.floor(n / 100)));
  const out = engine.allocate(engine.dtype, 5);
  engine.scatterAdd({ from: on(device, values), indices, out, rows: 5, width: 1, count: 400 });
  assertSame(await engine.read(out), [100, NaN, 100, 100, 0], "sums");
});
