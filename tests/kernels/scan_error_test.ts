import { assertEquals } from "@std/assert";
import { STATE, STATE_WORDS, STATUS } from "../../kernels/sequence.ts";
import { AffineScan } from "../../src/engine/webgpu/scan.ts";
import { assertClose, numbers } from "../solve/arrays.ts";
import { openTestMachine, testOnGpu } from "../engine/webgpu/adapter.ts";
import { channelOf, Guarded, type HostScan, linearOf, randomScan, stateWords, SWEEP_FORMS } from "./scan_support.ts";

// Error scans against a plain loop in double precision.

const TOLERANCE = 64 * 2 ** -23;

/** e[t] = r[t] + G e[t-1]: the largest |e| of each sequence, and e of the last row. */
function measureOnHost(scan: HostScan, Y: Float32Array, carry: Float32Array, absolute: boolean) {
  const { batch, time, units, size, F } = scan;
  const width = units * size;
  const last = Float64Array.from(carry);
  const worst = Array.from({ length: batch }, (_, b) => {
    let largest = 0;
    for (let u = 0; u < units; u++) {
      const channels = Array.from({ length: size }, (_, p) => channelOf(scan, u, p));
      let e = channels.map((c) => carry[b * width + c]!);
      for (let r = 0; r < time; r++) {
        const row = b * time + r;
        e = e.map((_, i) => {
          const residual = F[row * width + channels[i]!]! - Y[row * width + channels[i]!]!;
          return (absolute ? Math.abs(residual) : residual) + linearOf(scan, row, u, i, e);
        });
        largest = Math.max(largest, ...e.map(Math.abs));
      }
      e.forEach((value, p) => last[b * width + channels[p]!] = value);
    }
    return largest;
  });
  return { worst, last };
}

testOnGpu("error scans: the largest error, carried from window to window", async () => {
  const machine = await openTestMachine();
  for (const base of SWEEP_FORMS) {
    for (const sink of ["first-order", "absolute"] as const) {
      for (const time of [1, 7, 1000, 4097]) {
        const form = { ...base, sink, reverse: false, batch: 3, time } as const;
        const status = [STATUS.converged, STATUS.nonfinite, STATUS.running];
        const scan = randomScan(form, 4, false);
        const Y = Float32Array.from(numbers(scan.F.length, 1, 11));
        if (sink === "absolute" && scan.A) scan.A.forEach((value, i) => scan.A![i] = Math.abs(value) / base.size);
        const width = base.units * base.size;
        const start = Float32Array.from(numbers(3 * width, 1, 2), sink === "absolute" ? Math.abs : undefined);
        const A = scan.A && new Guarded(machine, scan.A);
        const [F, out, carry] = [scan.F, Y, start].map((data) => new Guarded(machine, data));
        const state = new Guarded(machine, stateWords(status.map((status) => ({ status, exact: 5, limit: 0 }))));
        const run = new AffineScan(machine, scan, {
          ...(A ? { matrix: A.region } : {}),
          vector: F!.region,
          out: out!.region,
          carry: carry!.region,
          state: state.region,
        });
        run.record();
        run.dispose();
        const words = new Float32Array((await state.take()).buffer);
        const expected = measureOnHost(scan, Y, start, sink === "absolute");
        expected.last.set(start.subarray(width, 2 * width), width);
        const what = `${sink} ${base.matrix} ${base.size}, T ${time}`;
        // Errors of an absolute scan grow to about 20, those of an integrator with T.
        const tolerance = (base.matrix === "identity" ? 2 * time : 40) * TOLERANCE;
        const actual = status.map((_, b) => words[b * STATE_WORDS + STATE.error]!);
        assertClose(actual, expected.worst.map((value, b) => b === 1 ? 0 : value), tolerance, what);
        assertClose(await carry!.floats(), expected.last, tolerance, `${what}, the last`);
        assertEquals(await out!.floats(), Y);
        for (const input of [A, F]) await input?.take();
      }
    }
  }
  await machine.dispose();
});
