/** Reads sequences of the first-element task piece by piece, by scans and step after step. */

import {
  type Device,
  type HostArray,
  type Solution,
  solve,
  type Tensor,
  tensor,
  toHost,
  type Tree,
} from "@cervid/cervid";
import { encodeSymbols, symbolPieces } from "./first_element_task.ts";
import type { TwoLayers } from "./two_layers.ts";

/** What there is to read, and how. */
export interface ReadOptions {
  /** T */
  readonly time: number;
  /** p */
  readonly features: number;
  /** Steps of a piece. */
  readonly piece: number;
  readonly seed: number;
  /** Whether the cell reads the sequences too, step after step. */
  readonly byCell: boolean;
}

/** What it took, and what came out. */
export interface Reading {
  readonly layerMs: number;
  /** null where the cell has not read. */
  readonly cellMs: number | null;
  /** max over both sequences, all steps and units of |y - y of the cell|; null where the cell has not read. */
  readonly maxDeviation: number | null;
  /** max over both sequences, all steps and units of |y|. */
  readonly largest: number;
  /** max over units of |y(+) - y(-)| at the end: what is left of x[0]. */
  readonly left: number;
}

/** Two sequences with the same noise, which begin with e_1 and -e_1. */
const SIGNS = [1, -1];

/** Reads two sequences that differ in x[0] alone, and compares their outputs. */
export async function readTwins(
  device: Device,
  { layer, step }: TwoLayers,
  params: Tree<Tensor>,
  { time, features, piece, seed, byCell }: ReadOptions,
): Promise<Reading> {
  let [layerMs, cellMs, maxDeviation, largest, left] = [0, 0, 0, 0, 0];
  let hT: Tensor | undefined;
  let solution: Solution | undefined;
  try {
    for (
      const { first, symbols: { data, shape: [, width = 0] } } of symbolPieces({
        time,
        features,
        batch: 1,
        seed,
        piece,
      })
    ) {
      const twins = Uint32Array.from({ length: 2 * width }, (_, i) => data[i % width]!);
      const host = encodeSymbols({ data: twins, shape: [2, width] }, features, first === 0 ? SIGNS : undefined);
      using xs = tensor(device, host);
      let start = performance.now();
      const run = layer.run(params, xs, hT && { h0: hT });
      using ys = run.ys;
      hT?.dispose();
      hT = run.hT;
      await toHost(hT); // waits for the piece: a few bytes
      layerMs += performance.now() - start;
      const { data: outputs } = await toHost(ys);
      for (const y of outputs) largest = Math.max(largest, Math.abs(y));
      if (first + width === time) left = compareEnds(outputs, width, layer.hidden);
      if (!byCell) continue;
      start = performance.now();
      const next = await solve(step, { params, xs, ...(solution && { h0: solution.yT }) }, { method: "sequential" });
      cellMs += performance.now() - start;
      solution?.dispose();
      solution = next;
      const { data: states } = await toHost(next.ys);
      maxDeviation = Math.max(maxDeviation, compareOutputs(outputs, states, layer.hidden));
    }
  } finally {
    hT?.dispose();
    solution?.dispose();
  }
  return { layerMs, largest, left, ...(byCell ? { cellMs, maxDeviation } : { cellMs: null, maxDeviation: null }) };
}

/** The largest deviation of outputs `(2, W, H)` from those in the states `(2, W, 5 H)` of the step, which stand last. */
function compareOutputs(outputs: HostArray, states: HostArray, hidden: number): number {
  let worst = 0;
  for (let i = 0; i < outputs.length; i++) {
    const [row, unit] = [Math.floor(i / hidden), i % hidden];
    worst = Math.max(worst, Math.abs(outputs[i]! - states[(5 * row + 4) * hidden + unit]!));
  }
  return worst;
}

/** max over units of |y(+) - y(-)| at the last step of outputs `(2, W, H)`. */
function compareEnds(outputs: HostArray, width: number, hidden: number): number {
  let largest = 0;
  for (let unit = 0; unit < hidden; unit++) {
    const [plus, minus] = [outputs[(width - 1) * hidden + unit]!, outputs[(2 * width - 1) * hidden + unit]!];
    largest = Math.max(largest, Math.abs(plus - minus));
  }
  return largest;
}
