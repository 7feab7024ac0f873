import { sizeOf } from "../core/shape.ts";
import type { Shape } from "../core/types.ts";
import { type Device, engineOf } from "../device.ts";
import type { CopyRows, Memory } from "../engine/engine.ts";
import { record } from "../tape.ts";
import { memoryOf, type Tensor, wrapMemory } from "../tensor.ts";

/** Rows of a tensor that become rows of another; with `fromStride` 0 one row becomes many. */
export interface Part {
  readonly from: Tensor;
  readonly rows: CopyRows;
}

/** Writes zeros: the sum of nothing, made where they are needed. */
function clear(device: Device, memory: Memory): void {
  engineOf(device).reduce({ op: "sum", input: memory, out: memory, outer: 1, length: 0, inner: memory.length });
}

/**
 * A tensor of `shape` put together of rows of others, 0 where they leave it; no element is taken by two parts. Copies
 * only: used for rows and columns of states, never for arrays of all steps. Differentiable.
 */
export function assemble(device: Device, shape: Shape, parts: readonly Part[], label: string): Tensor {
  const engine = engineOf(device);
  const out = wrapMemory(device, shape, engine.allocate(engine.dtype, sizeOf(shape), label), label);
  try {
    const covered = parts.reduce((total, { rows }) => total + rows.rows * rows.width, 0);
    if (covered < sizeOf(shape)) clear(device, memoryOf(out));
    for (const { from, rows } of parts) engine.copy(memoryOf(from), memoryOf(out), rows);
    const inputs = [...new Set(parts.map(({ from }) => from))];
    record({
      name: label,
      inputs,
      outputs: [out],
      holds: [],
      pullback: ([cotangent], wanted) =>
        inputs.map((input, k) =>
          wanted[k] ? pullBackPart(device, input, parts.filter(({ from }) => from === input), cotangent!) : null
        ),
    });
    return out;
  } catch (error) {
    out.dispose();
    throw error;
  }
}

/** What flows back to one of the tensors: zeros, but where it was copied from. */
function pullBackPart(device: Device, { shape }: Tensor, parts: readonly Part[], cotangent: Memory): Memory {
  const engine = engineOf(device);
  const out = engine.allocate(engine.dtype, sizeOf(shape), "a cotangent");
  clear(device, out);
  for (const { rows } of parts) {
    const { fromStart, fromStride, toStart, toStride, width, rows: count } = rows;
    if (fromStride > 0 || count === 1) {
      const back = { fromStart: toStart, fromStride: toStride, toStart: fromStart, toStride: fromStride };
      engine.copy(cotangent, out, { ...back, width, rows: count });
      continue;
    }
    // One row served all: the sum of what flows back.
    const columns = engine.allocate(engine.dtype, count * width, "a cotangent");
    const total = engine.allocate(engine.dtype, width, "a cotangent");
    const all = { fromStart: toStart, fromStride: toStride, toStart: 0, toStride: width, width, rows: count };
    engine.copy(cotangent, columns, all);
    engine.reduce({ op: "sum", input: columns, out: total, outer: 1, length: count, inner: width });
    const one = { fromStart: 0, fromStride: 0, toStart: fromStart, toStride: 0, width, rows: 1 };
    engine.copy(total, out, one);
    engine.free(columns);
    engine.free(total);
  }
  return out;
}
