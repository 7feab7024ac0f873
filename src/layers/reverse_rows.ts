import { engineOf } from "../device.ts";
import type { Memory } from "../engine/engine.ts";
import { record } from "../tape.ts";
import { memoryOf, type Tensor, wrapMemory } from "../tensor.ts";

/**
 * Sequences in reversed time, `out[b, t] = x[b, T - 1 - t]`: `(B, T, n)` or `(T, n)`. Of a batch two copies, one of all rows in
 * reversed order and one that puts the sequences in theirs; of one sequence the first. Differentiable.
 */
export function reverseSteps(x: Tensor): Tensor {
  const { device, shape } = x;
  const engine = engineOf(device);
  const width = shape.at(-1)!;
  const batch = shape.length === 3 ? shape[0]! : 1;
  const flip = (from: Memory, rows: number, length: number): Memory => {
    const out = engine.allocate(engine.dtype, rows * length, "reversed rows");
    if (rows * length === 0) return out;
    const fromStart = (rows - 1) * length;
    engine.copy(from, out, { fromStart, fromStride: -length, toStart: 0, toStride: length, width: length, rows });
    return out;
  };
  const reverse = (from: Memory): Memory => {
    const rows = flip(from, batch * shape.at(-2)!, width);
    if (batch === 1) return rows;
    try {
      return flip(rows, batch, shape.at(-2)! * width);
    } finally {
      engine.free(rows);
    }
  };
  const reversed = wrapMemory(device, shape, reverse(memoryOf(x)), "reversed steps");
  record({
    name: "reverseSteps",
    inputs: [x],
    outputs: [reversed],
    holds: [],
    pullback: ([cotangent]) => [reverse(cotangent!)],
  });
  return reversed;
}
