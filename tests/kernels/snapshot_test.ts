// The text of a few kernels, so that a change of an emitter shows as a change of WGSL. `deno task test -u
// tests/kernels/snapshot_test.ts` writes them anew.

import { emitDenseLane } from "../../kernels/dense_lane.ts";
import { emitDenseTile } from "../../kernels/dense_tile.ts";
import { emitEvaluate } from "../../kernels/evaluate.ts";
import { emitFold } from "../../kernels/fold.ts";
import { emitGuess } from "../../kernels/guess.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { lanesKernel } from "../../kernels/scan_lanes.ts";
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
];

for (const { name, code: text, bindings } of KERNELS) {
  Deno.test(`snapshot: ${name}`, async (t) => {
    await t.assertSnapshot(`${bindings.join(", ")}\n${text}`);
  });
}
