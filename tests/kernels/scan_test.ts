import { assertEquals, assertRejects } from "@std/assert";
import { LANES } from "../../kernels/scan_lanes.ts";
import { TILE_MOST } from "../../kernels/scan_tile.ts";
import { WIDE_MOST } from "../../kernels/scan_wide.ts";
import { planScan } from "../../src/engine/webgpu/scan_plan.ts";
import { assertClose } from "../solve/arrays.ts";
import { openTestMachine, testOnGpu } from "../engine/webgpu/adapter.ts";
import { fold, type HostScan, randomScan, scanOn } from "./scan_support.ts";

// s[t] = A[t] s[t-1] + r[t] of every form on the GPU, against a fold in double precision.

/** In units of 2^-23: states stay below 8, a step makes a few roundings of that size, which fade as the states do. */
const TOLERANCE = 64 * 2 ** -23;

type Form = Omit<HostScan, "A" | "F" | "start" | "batch" | "time">;
const form = (rest: Partial<Form>): Form => ({
  sink: "recurrence",
  matrix: "full",
  size: 1,
  units: 1,
  layout: "contiguous",
  reverse: false,
  ...rest,
});

const FORMS: readonly Form[] = [
  form({ matrix: "scalar", units: 3 }),
  form({ units: 1 }),
  form({ units: 5 }),
  form({ units: 70 }),
  form({ units: 3, size: 2 }),
  form({ units: 3, size: 2, layout: "strided" }),
  form({ units: 2, size: 3 }),
  form({ units: 1, size: 4 }),
  form({ units: 3, size: 4, layout: "strided" }),
  form({ matrix: "zero", units: 3 }),
  form({ size: 5 }),
  form({ units: 2, size: 7, layout: "strided" }),
  form({ units: 2, size: 8 }),
  form({ size: 20 }),
];

const WIDE = { batch: 1, time: 1, units: 1, size: 44, matrix: "full" } as const;

const title = (scan: HostScan): string =>
  `${scan.matrix} ${scan.size} × ${scan.units} ${scan.layout}, B ${scan.batch}, T ${scan.time}` +
  `${scan.reverse ? ", reverse" : ""}${scan.adjoint ? ", adjoint" : ""}${scan.start ? "" : ", from zeros"}`;

testOnGpu("scan: every form, both directions, short and long", async () => {
  const machine = await openTestMachine();
  for (const base of FORMS) {
    for (const time of [0, 1, 2, 3, 5, 10, 255, 256, 257, 1000, 1025]) {
      const reverse = time % 2 === 1 || time === 10;
      const long = time === 256;
      for (const direction of long ? [false, true] : [reverse]) {
        const scan = randomScan({ ...base, batch: 3, time, reverse: direction }, time + 1, time !== 5);
        const expected = fold(scan, 7);
        assertClose(await scanOn(machine, scan, 7), expected, TOLERANCE, title(scan));
      }
    }
  }
  await machine.dispose();
});

testOnGpu("scan: lanes on time around the edges of their tiles", async () => {
  const machine = await openTestMachine();
  for (const matrix of ["scalar", "full", "identity"] as const) {
    for (
      const [batch, units, time] of [[1, 1, 4096], [1, 3, 4097], [2, 5, 6143], [3, 1, 6145], [31, 1, 5000]] as const
    ) {
      for (const reverse of [false, true]) {
        const scan = randomScan({ ...form({ matrix, units, reverse }), batch, time }, time, batch !== 2);
        assertEquals(planScan(scan).form, "time");
        // An integrator forgets nothing.
        const tolerance = matrix === "identity" ? time * 2 ** -20 : TOLERANCE;
        assertClose(await scanOn(machine, scan), fold(scan), tolerance, title(scan));
      }
    }
  }
  await machine.dispose();
});

testOnGpu("scan: dense matrices of every size, in one chunk and in many", async () => {
  const machine = await openTestMachine();
  for (let size = 2; size <= 20; size++) {
    for (const time of [40, 1100]) {
      const scan = randomScan({ ...form({ size, reverse: size % 3 === 0 }), batch: 1, time }, size, true);
      assertEquals(planScan(scan).form, size <= 4 ? "lanes" : "tile");
      assertEquals(planScan(scan).chunks > 1, time === 1100);
      assertClose(await scanOn(machine, scan), fold(scan), TOLERANCE, title(scan));
    }
  }
  await machine.dispose();
});

testOnGpu("scan: dense matrices at and beyond the limit of tiles", async () => {
  const machine = await openTestMachine();
  // 44 and beyond: no products, and long ones in several dispatches.
  const sizes = [[43, 1, 1030], [44, 2, 50], [130, 1, 9], [300, 1, 3], [44, 1, 1 + planScan(WIDE).chunkRows]] as const;
  for (const [size, units, time] of sizes) {
    for (const reverse of [false, true]) {
      const layout = reverse ? "strided" : "contiguous";
      const scan = randomScan({ ...form({ size, units, layout, reverse }), batch: 1, time }, size, reverse);
      assertEquals(planScan(scan).form, size <= TILE_MOST ? "tile" : "wide");
      assertClose(await scanOn(machine, scan), fold(scan), TOLERANCE, title(scan));
    }
  }
  await machine.dispose();
});

testOnGpu("scan: more workgroups than one dimension holds", async () => {
  const machine = await openTestMachine();
  const wide = randomScan({ ...form({ matrix: "scalar", units: 65535 * LANES + 70 }), batch: 1, time: 1 }, 1, true);
  assertClose(await scanOn(machine, wide), fold(wide), TOLERANCE, "lanes");
  const deep = randomScan({ ...form({ size: 5 }), batch: 65540, time: 1 }, 2, true);
  assertClose(await scanOn(machine, deep), fold(deep), TOLERANCE, "tiles");
  await machine.dispose();
});

testOnGpu("scan: states beyond what any kernel holds are refused", async () => {
  const machine = await openTestMachine();
  const scan = randomScan({ ...form({ size: WIDE_MOST + 1 }), batch: 1, time: 1 }, 1, false);
  await assertRejects(
    () => scanOn(machine, scan),
    RangeError,
    `Cannot scan dense matrices: a state of at most ${WIDE_MOST} is expected, got ${WIDE_MOST + 1}`,
  );
  await machine.dispose();
});

testOnGpu("scan: 65537 steps, with a spine of several levels", async () => {
  const machine = await openTestMachine();
  for (const base of FORMS) {
    const scan = randomScan({ ...base, batch: 1, time: 65537, reverse: base.size % 2 === 0 }, 3, true);
    assertClose(await scanOn(machine, scan), fold(scan), TOLERANCE, title(scan));
  }
  await machine.dispose();
});

testOnGpu("scan: sequences apart from each other in memory", async () => {
  const machine = await openTestMachine();
  for (const time of [9, 600]) {
    for (const reverse of [false, true]) {
      const scan = randomScan({ ...form({ units: 3, reverse }), batch: 3, time, stride: time + 4 }, 11, true);
      assertClose(await scanOn(machine, scan, 7), fold(scan, 7), TOLERANCE, title(scan));
    }
  }
  await machine.dispose();
});

testOnGpu("scan: an integrator adds up exactly", async () => {
  // Whole numbers below 2^24: no rounding anywhere, whatever the order.
  const machine = await openTestMachine();
  for (const matrix of ["identity", "scalar", "full"] as const) {
    for (const reverse of [false, true]) {
      const time = 4000;
      const scan: HostScan = {
        ...form({ matrix, reverse }),
        batch: 1,
        time,
        F: Float32Array.from({ length: time }, (_, t) => t % 7 - 3),
        ...(matrix === "identity" ? {} : { A: new Float32Array(time).fill(1) }),
      };
      assertEquals(Array.from(await scanOn(machine, scan)), Array.from(fold(scan)), title(scan));
    }
  }
  await machine.dispose();
});

testOnGpu("scan: growth that overflows leaves a state of zero alone", async () => {
  // The product of a chunk's matrices is infinite; 0 · Infinity must not appear.
  const machine = await openTestMachine();
  for (const size of [1, 2]) {
    const time = 1024;
    const F = new Float32Array(time * size);
    F.fill(1, (time - 2) * size);
    const A = new Float32Array(time * size * size);
    for (let t = 0; t < time; t++) for (let i = 0; i < size; i++) A[t * size * size + i * size + i] = 4;
    const scan: HostScan = { ...form({ size }), batch: 1, time, A, F };
    assertEquals(Array.from(await scanOn(machine, scan)), Array.from(fold(scan)), `size ${size}`);
  }
  await machine.dispose();
});

testOnGpu("scan: NaN and Infinity reach what comes after them, and nothing before", async () => {
  const machine = await openTestMachine();
  for (const [value, place] of [[NaN, 700], [Infinity, 700], [NaN, 0]] as const) {
    const scan = randomScan({ ...form({ units: 2 }), batch: 1, time: 1024 }, 5, true);
    scan.F[place * 2] = value;
    const ys = await scanOn(machine, scan);
    const expected = fold(scan);
    for (let i = 0; i < ys.length; i++) {
      const spoilt = i % 2 === 0 && i >= 2 * place;
      assertEquals(Number.isFinite(ys[i]), !spoilt, `element ${i} with ${value} at row ${place}`);
      if (!spoilt) assertClose([ys[i]!], [expected[i]!], TOLERANCE, `element ${i}`);
    }
  }
  await machine.dispose();
});

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
