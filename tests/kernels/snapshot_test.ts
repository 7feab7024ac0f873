// The text of a few kernels, so that a change of an emitter shows as a change of WGSL. `deno task test -u
// tests/kernels/snapshot_test.ts` writes them anew.

import { emitDenseLane } from "../../kernels/dense_lane.ts";
import { emitDenseTile } from "../../kernels/dense_tile.ts";
import { emitEvaluate } from "../../kernels/evaluate.ts";
import { emitFold } from "../../kernels/fold.ts";
import { emitGuess } from "../../kernels/guess.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { emitMap } from "../../kernels/map.ts";
import { lanesKernel } from "../../kernels/scan_lanes.ts";
import { emitOperatorScan } from "../../kernels/operator_scan.ts";
import { trustRestore, trustSums, trustWeigh } from "../../kernels/trust_rule.ts";
import { trustApply, trustReduce, trustSpine } from "../../kernels/trust_scan.ts";
import { emitVerdict } from "../../kernels/verdict.ts";

const shape = { state: 2, input: 1, hoisted: 3 };
const code = { lines: ["let v = W[w + 0] * C[0];", "W[w + 4] = tanhOf(v + Z[z]);"], scratch: 6, turns: 0 };
const tile = { lanes: 64, rows: 4, scratch: "workgroup" } as const;
const store = { count: 2, width: 2, offset: "0u", index: "i", text: "W[w + i + 4]" } as const;
const entry = ["var g = 0.0;", "if (i == k) { g += W[w + i + 4]; }"];
const dense = { sink: "update", shape, units: 1, code, value: "W[w + i + 4]", entry, chunked: true } as const;

const KERNELS: readonly Kernel[] = [
  emitVerdict("judge"),
  emitGuess("start", 2),
  emitEvaluate({ name: "f", shape, code, stores: [store], previous: "iterate", skip: true, tile }),
  emitMap({
    name: "map of elements",
    arrays: [{ kind: "step", width: 6 }, { kind: "sequence", width: 9 }, { kind: "parameter", width: 3 }],
    reads: [
      { array: 0, offset: 3, shift: 1, start: { array: 1, offset: 0, size: 3 } },
      { array: 0, offset: 0, shift: -2, start: null },
      { array: 1, offset: 6, shift: 0, start: null },
    ],
    outputs: [3],
    code: {
      lines: ["let v = select(A0[read0 + u], A1[start0 + u], outside0) * A2[u] + A1[read2 + u];"],
      scratch: 0,
      turns: 0,
    },
    stores: [{ output: 0, offset: 0, count: 3, text: "v" }],
    form: { elements: 3 },
  }),
  emitMap({
    name: "map of tiles",
    arrays: [{ kind: "step", width: 2 }],
    reads: [{ array: 0, offset: 0, shift: 0, start: null }],
    outputs: [2],
    code: { lines: ["W[w] = A0[read0] * t;"], scratch: 1, turns: 0 },
    stores: [{ output: 0, offset: 0, count: 2, text: "W[w]" }],
    form: { tile: { ...tile, scratch: "storage" } },
  }),
  emitOperatorScan({
    name: "maps",
    phase: "apply",
    source: "arrays",
    leaves: [{ size: 2, first: 0, kept: null }, { size: 5, first: 2, kept: 0 }],
    code: {
      ahead: ["let rate = expOf(C[0]);"],
      combine: ["let n0_0 = I0[i0] * rate;", "s0_0 = n0_0; s0_1 = I0[i0 + 1];"],
      scratch: 5,
      aheadTurns: 0,
      combineTurns: 0,
      constants: true,
    },
  }),
  emitOperatorScan({
    name: "maps",
    phase: "reduce",
    source: "packed",
    leaves: [{ size: 5, first: 0, kept: 0 }],
    code: { ahead: [], combine: ["E[0] = V[v] + E[0];"], scratch: 0, aheadTurns: 0, combineTurns: 0, constants: false },
  }),
  emitFold({
    name: "fold",
    sink: "update",
    shape,
    code,
    value: "W[w + i + 4]",
    action: "0.0",
    lanes: 32,
    scratch: "workgroup",
  }),
  emitDenseLane({ ...dense, name: "dense lane", phase: "reduce" }),
  emitDenseTile({ ...dense, name: "dense tile", phase: "apply", tile }),
  lanesKernel({
    sink: "recurrence",
    matrix: "full",
    size: 2,
    layout: "strided",
    reverse: true,
    phase: "apply",
    start: "aggregates",
  }),
  trustReduce({ size: 1, layout: "contiguous", adaptive: true }),
  trustApply({ size: 2, layout: "strided", adaptive: true }, true),
  trustSpine({ size: 2, layout: "strided", adaptive: true }),
  trustReduce({ size: 5, layout: "contiguous", adaptive: false }),
  trustApply({ size: 5, layout: "contiguous", adaptive: true }, false),
  trustSpine({ size: 5, layout: "contiguous", adaptive: false }),
  trustSums(5),
  trustRestore(5),
  trustWeigh({ beyond: 2, change: 10, least: 1e-20, most: 1e6 }),
];

for (const { name, code: text, bindings } of KERNELS) {
  Deno.test(`snapshot: ${name}`, async (t) => {
    await t.assertSnapshot(`${bindings.join(", ")}\n${text}`);
  });
}
