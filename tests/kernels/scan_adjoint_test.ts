import { assertEquals, assertRejects } from "@std/assert";
import { TILE_MOST } from "../../kernels/scan_tile.ts";
import { planScan } from "../../src/engine/webgpu/scan_plan.ts";
import { openTestMachine, testOnGpu } from "../engine/webgpu/adapter.ts";
import { assertClose } from "../solve/arrays.ts";
import { form, FORMS, title, TOLERANCE, WIDE } from "./scan_forms.ts";
import { fold, randomScan, scanOn } from "./scan_support.ts";

// Adjoint scans, s[t] = A[t-1]ᵀ s[t-1] + r[t], of every form on the GPU, against a fold in double precision.

/** Those whose matrices are in memory. */
const WITH_MATRICES = FORMS.filter(({ matrix }) => matrix === "scalar" || matrix === "full");

testOnGpu("scan: adjoints of every form, both directions, short and long", async () => {
  // A is between guard words that are NaN: a row without a matrix must read none.
  const machine = await openTestMachine();
  for (const base of WITH_MATRICES) {
    for (const time of [0, 1, 2, 3, 5, 64, 255, 1025]) {
      for (const reverse of [false, true]) {
        const scan = randomScan({ ...base, batch: 2, time, reverse, adjoint: true }, time + 1, time !== 5);
        assertClose(await scanOn(machine, scan, 7), fold(scan, 7), TOLERANCE, title(scan));
      }
    }
  }
  await machine.dispose();
});

testOnGpu("scan: adjoints on every path, by its size", async () => {
  const machine = await openTestMachine();
  const table = [
    ["time", form({ units: 3 }), 6145],
    ["time", form({ matrix: "scalar", units: 5 }), 4097],
    ["tile", form({ size: 9, units: 2, layout: "strided" }), 1100],
    ["tile", form({ size: TILE_MOST }), 1030],
    ["wide", form({ size: 44, units: 2 }), 50],
    ["wide", form({ size: 130, layout: "strided" }), 9],
    ["wide", form({ size: 44 }), 1 + planScan(WIDE).chunkRows],
    ["lanes", form({ units: 70 }), 65537],
  ] as const;
  for (const [path, base, time] of table) {
    for (const reverse of [false, true]) {
      const scan = randomScan({ ...base, batch: 1, time, reverse, adjoint: true }, time, true);
      assertEquals(planScan(scan).form, path);
      assertClose(await scanOn(machine, scan), fold(scan), TOLERANCE, title(scan));
    }
  }
  await machine.dispose();
});

testOnGpu("scan: adjoints carry what they start from through all chunks", async () => {
  // Permutations of whole numbers: nothing is forgotten, nothing rounded.
  const machine = await openTestMachine();
  const table = [
    ["lanes", form({ units: 70 }), 1100],
    ["lanes", form({ units: 3, size: 2 }), 1100],
    ["lanes", form({ size: 4, layout: "strided", units: 2 }), 1100],
    ["time", form({ matrix: "scalar", units: 2 }), 4099],
    ["tile", form({ size: 5 }), 1100],
    ["tile", form({ size: 20 }), 1100],
    ["wide", form({ size: 44 }), 50],
  ] as const;
  for (const [path, base, time] of table) {
    for (const reverse of [false, true]) {
      const scan = randomScan({ ...base, batch: 1, time, reverse, adjoint: true }, time, true);
      const { size } = base;
      const entry = (_: number, e: number): number => {
        const [matrix, i, j] = [Math.floor(e / size ** 2), Math.floor(e / size) % size, e % size];
        return j === (i + 1 + matrix % 3) % size ? 1 : 0;
      };
      const A = scan.A!.map(entry);
      const whole = {
        ...scan,
        A,
        F: scan.F.map((v) => Math.round(4 * v)),
        start: scan.start!.map((v) => Math.round(99 * v)),
      };
      assertEquals(planScan(whole).form, path);
      assertEquals(Array.from(await scanOn(machine, whole)), Array.from(fold(whole)), title(whole));
    }
  }
  await machine.dispose();
});

testOnGpu("scan: what an adjoint starts from enters component by component", async () => {
  // A product with the identity would make 0 · NaN of it.
  const machine = await openTestMachine();
  for (const size of [2, 4, 5, 9, 44]) {
    const scan = randomScan({ ...form({ size }), batch: 1, time: 1, adjoint: true }, size, true);
    scan.start![1] = NaN;
    const finite = Array.from(await scanOn(machine, scan), Number.isFinite);
    assertEquals(finite, Array.from({ length: size }, (_, i) => i !== 1), title(scan));
  }
  await machine.dispose();
});

testOnGpu("scan: sweeps, integrators and scans without matrices have no adjoint", async () => {
  const machine = await openTestMachine();
  for (const [sink, matrix] of [["update", "full"], ["recurrence", "identity"], ["recurrence", "zero"]] as const) {
    const scan = randomScan({ ...form({ sink, matrix }), batch: 1, time: 1, adjoint: true }, 1, false);
    await assertRejects(
      () => scanOn(machine, scan),
      RangeError,
      `Cannot scan: only recurrences with matrices have an adjoint, got ${sink} of ${matrix}`,
    );
  }
  await machine.dispose();
});
