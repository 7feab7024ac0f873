import { assertEquals, assertRejects } from "@std/assert";
import { LANES } from "../../kernels/scan_lanes.ts";
import { TILE_MOST } from "../../kernels/scan_tile.ts";
import { WIDE_MOST } from "../../kernels/scan_wide.ts";
import { planScan } from "../../src/engine/webgpu/scan_plan.ts";
import { assertClose } from "../solve/arrays.ts";
import { openTestMachine, testOnGpu } from "../engine/webgpu/adapter.ts";
import { form, FORMS, title, TOLERANCE, WIDE } from "./scan_forms.ts";
import { fold, type HostScan, randomScan, scanOn } from "./scan_support.ts";

// s[t] = A[t] s[t-1] + r[t] of every form on the GPU, against a fold in double precision.

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
