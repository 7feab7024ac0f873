import { assert, assertEquals } from "@std/assert";
import { NONE, STATE, STATE_WORDS, STATUS } from "../../kernels/sequence.ts";
import type { Machine } from "../../src/engine/webgpu/machine.ts";
import { AffineScan } from "../../src/engine/webgpu/scan.ts";
import { assertClose, numbers } from "../solve/arrays.ts";
import { openTestMachine, testOnGpu } from "../engine/webgpu/adapter.ts";
import {
  bitsOf,
  channelOf,
  Guarded,
  type HostScan,
  linearOf,
  randomScan,
  stateWords,
  SWEEP_FORMS,
} from "./scan_support.ts";

// Sweeps against a plain loop in double precision.

const [ATOL, RTOL] = [1e-3, 1e-2];
const TOLERANCE = 64 * 2 ** -23;

/** One sequence as the verdict keeps it. */
interface Sequence {
  readonly status: number;
  readonly exact: number;
  readonly limit: number;
}

interface Sweep {
  readonly scan: HostScan;
  readonly Y: Float32Array;
  readonly guess: Float32Array;
  readonly sequences: readonly Sequence[];
}

interface Report {
  worst: number;
  resets: number;
  changed: number;
  bad: number;
}

/** h⁺ = f + G δ, in place, with the policy for what is not finite. */
function sweepOnHost({ scan, Y, guess, sequences }: Sweep): { ys: Float64Array; reports: Report[] } {
  const { time, units, size, F } = scan;
  const ys = Float64Array.from(Y);
  const reports = sequences.map(({ status, exact, limit }, b) => {
    const report: Report = { worst: 0, resets: 0, changed: NONE, bad: NONE };
    if (status !== STATUS.running) return report;
    for (let u = 0; u < units; u++) {
      let delta = new Array<number>(size).fill(0);
      for (let r = exact; r < time; r++) {
        const row = b * time + r;
        delta = delta.map((_, i) => {
          const at = row * units * size + channelOf(scan, u, i);
          const was = Y[at]!;
          let linear = r === exact ? 0 : linearOf(scan, row, u, i, delta);
          if (!Number.isFinite(linear)) [linear, report.resets] = [0, 1];
          let v = F[at]! + linear;
          if (r === exact && !Number.isFinite(v)) [v, report.bad] = [guess[at]!, Math.min(report.bad, r)];
          else if (r > exact && !(Math.abs(v) <= limit)) {
            [v, report.resets, report.changed] = [guess[at]!, 1, Math.min(report.changed, r - 1)];
          }
          if (v !== was) {
            report.worst = Math.max(report.worst, Math.abs(v - was) / (ATOL + RTOL * Math.abs(v)));
            report.changed = Math.min(report.changed, r);
          }
          ys[at] = v;
          return v - was;
        });
      }
    }
    return report;
  });
  return { ys, reports };
}

async function sweepOn(machine: Machine, { scan, Y, guess, sequences }: Sweep) {
  const A = scan.A && new Guarded(machine, scan.A, 1);
  const F = new Guarded(machine, scan.F, 2);
  const out = new Guarded(machine, Y, 3);
  const old = new Guarded(machine, guess, 4);
  const words = stateWords(sequences.map(({ status, exact, limit }) => ({ status, exact, limit: bitsOf(limit) })));
  const state = new Guarded(machine, words);
  const run = new AffineScan(machine, { ...scan, sink: "update", atol: ATOL, rtol: RTOL }, {
    ...(A ? { matrix: A.region } : {}),
    vector: F.region,
    out: out.region,
    guess: old.region,
    state: state.region,
  });
  run.record();
  run.dispose();
  for (const input of [A, F, old]) await input?.take();
  const after = await state.take();
  const floats = new Float32Array(after.buffer);
  const reports = sequences.map((_, b): Report => {
    const at = (field: keyof typeof STATE): number => b * STATE_WORDS + STATE[field];
    // Nothing but the four words that sweeps publish.
    const published = new Set([at("worst"), at("resets"), at("changed"), at("bad")]);
    for (let w = b * STATE_WORDS; w < (b + 1) * STATE_WORDS; w++) {
      if (!published.has(w)) assertEquals(after[w], words[w]);
    }
    return {
      worst: floats[at("worst")]!,
      resets: after[at("resets")]!,
      changed: after[at("changed")]!,
      bad: after[at("bad")]!,
    };
  });
  return { ys: await out.floats(), reports, chunks: run.plan.chunks };
}

/** An iterate that is right in rows before `right` of every sequence: there f gives it back. */
function problem(
  form: Parameters<typeof randomScan>[0],
  right: number,
  sequences: readonly Sequence[],
  seed = 1,
): Sweep {
  const scan = randomScan(form, seed, false);
  const width = scan.units * scan.size;
  const Y = Float32Array.from(numbers(scan.F.length, 1, seed + 7));
  for (let i = 0; i < Y.length; i++) if (Math.floor(i / width) % scan.time < right) Y[i] = scan.F[i]!;
  return { scan, Y, guess: Float32Array.from(numbers(Y.length, 1, seed + 8)), sequences };
}

function compare(actual: Awaited<ReturnType<typeof sweepOn>>, sweep: Sweep, what: string, tolerance = TOLERANCE): void {
  const expected = sweepOnHost(sweep);
  assertClose(actual.ys, expected.ys, tolerance, what);
  expected.reports.forEach((report, b) => {
    const { worst, ...rest } = actual.reports[b]!;
    const { worst: wanted, ...others } = report;
    assertEquals(rest, others, `${what}, sequence ${b}`);
    assertClose([worst], [wanted], tolerance / ATOL + 1e-5 * wanted, `${what}, the update of sequence ${b}`);
  });
}

/** Steps, and those that are right: up to 255 in one chunk, from 4096 on with lanes on time in tiles of 2048. */
const SIZES = [
  [1, 0],
  [2, 1],
  [10, 4],
  [200, 70],
  [1000, 300],
  [1000, 1000],
  [4096, 2048],
  [4097, 4096],
  [5000, 2047],
  [6145, 4500],
] as const;

testOnGpu("sweep: exact rows stay, others follow the linear recurrence, and what changed is known", async () => {
  const machine = await openTestMachine();
  for (const base of SWEEP_FORMS) {
    for (const [time, right] of SIZES) {
      const form = { ...base, sink: "update", reverse: false, batch: 4, time } as const;
      const sequences = [
        { status: STATUS.running, exact: 0, limit: 1e8 },
        { status: STATUS.running, exact: Math.min(right, time - 1), limit: 1e8 },
        { status: STATUS.converged, exact: 0, limit: 1e8 },
        { status: STATUS.running, exact: Math.floor(right / 2), limit: 1e8 },
      ];
      const sweep = problem(form, right, sequences, time);
      // An integrator forgets nothing: what rounds, adds up.
      const tolerance = base.matrix === "identity" ? time * TOLERANCE : TOLERANCE;
      compare(
        await sweepOn(machine, sweep),
        sweep,
        `${base.matrix} ${base.size}, T ${time}, right to ${right}`,
        tolerance,
      );
    }
  }
  await machine.dispose();
});

testOnGpu("sweep: what is not finite or too large becomes the guess, contributions become 0", async () => {
  const machine = await openTestMachine();
  for (const base of SWEEP_FORMS) {
    const form = { ...base, sink: "update", reverse: false, batch: 3, time: 60 } as const;
    const width = base.units * base.size;
    const sequences = [0, 9, 0].map((exact, b) => ({ status: STATUS.running, exact, limit: b === 2 ? 0.9 : 1e8 }));
    const sweep = problem(form, 9, sequences);
    const { A, F } = sweep.scan;
    const at = (b: number, row: number): number => (b * 60 + row) * width;
    F[at(0, 20)] = NaN;
    F[at(0, 21) + width - 1] = Infinity;
    F[at(0, 30)] = -3e38;
    F[at(1, 9)] = NaN;
    if (A) {
      A[at(0, 40) * base.size] = Infinity;
      A[at(1, 30) * base.size] = NaN;
    }
    compare(await sweepOn(machine, sweep), sweep, `${base.matrix} ${base.size}`);
  }
  await machine.dispose();
});

testOnGpu("sweep: chunks after something that is not finite go on, and the sweep does not count", async () => {
  const machine = await openTestMachine();
  for (const base of SWEEP_FORMS.filter(({ matrix }) => matrix === "full")) {
    for (const time of [1000, 10000]) {
      const form = { ...base, sink: "update", reverse: false, batch: 1, time } as const;
      const sweep = problem(form, 0, [{ status: STATUS.running, exact: 0, limit: 1e8 }]);
      sweep.scan.F[0.3 * time * base.units * base.size] = NaN;
      sweep.scan.A![0.6 * time * base.units * base.size ** 2] = Infinity;
      const { ys, reports: [report], chunks } = await sweepOn(machine, sweep);
      assert(chunks > 4, `${chunks} chunks`);
      assertEquals(report!.resets, 1);
      assert(ys.every(Number.isFinite), "an entry is not finite");
      // Far behind both of them the recurrence has forgotten what came instead.
      const { ys: expected } = sweepOnHost(sweep);
      const last = 0.9 * time * base.units * base.size;
      assertClose(ys.subarray(last), expected.subarray(last), 1e-3, `blocks of ${base.size}, T ${time}`);
    }
  }
  await machine.dispose();
});

testOnGpu("sweep: zero updates pass through what is not finite", async () => {
  // All rows are right, but G is not finite in one place: nothing may change, whatever the chunk.
  const machine = await openTestMachine();
  for (const base of SWEEP_FORMS.filter(({ matrix }) => matrix === "full")) {
    for (const time of [1000, 5000]) {
      const form = { ...base, sink: "update", reverse: false, batch: 1, time } as const;
      const sweep = problem(form, time, [{ status: STATUS.running, exact: 3, limit: 1e8 }]);
      for (const row of [200, 500]) sweep.scan.A![row * base.units * base.size ** 2] = row === 200 ? NaN : Infinity;
      compare(await sweepOn(machine, sweep), sweep, `blocks of ${base.size}, T ${time}`);
    }
  }
  await machine.dispose();
});

testOnGpu("sweep: an update of which atol + rtol |h| is zero counts as infinite", async () => {
  const machine = await openTestMachine();
  const scan: HostScan = {
    matrix: "zero",
    sink: "update",
    size: 1,
    units: 1,
    layout: "contiguous",
    reverse: false,
    batch: 1,
    time: 2,
    F: new Float32Array(2),
  };
  const words = stateWords([{ limit: bitsOf(1e8) }]);
  const [F, Y, guess] = [scan.F, Float32Array.of(0, 1), scan.F].map((data) => new Guarded(machine, data));
  const state = new Guarded(machine, words);
  const run = new AffineScan(machine, scan, {
    vector: F!.region,
    out: Y!.region,
    guess: guess!.region,
    state: state.region,
  });
  run.record();
  assertEquals((await state.take())[STATE.worst], 0x7f800000);
  assertEquals(Array.from(await Y!.floats()), [0, 0]);
  await machine.dispose();
});
