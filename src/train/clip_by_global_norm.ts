import { sizeOf } from "../core/shape.ts";
import { engineOf } from "../device.ts";
import type { Memory } from "../engine/engine.ts";
import { memoryOf, type Tensor } from "../tensor.ts";
import { div, greater, mul, sqrt, square, where } from "../trace/ops.ts";
import { type RowProgram, traceRows } from "../trace/rows.ts";
import { type Leaves, leavesOf, matchLeaves, treeLike, updateLeaf } from "./leaves.ts";
import type { Optimizer } from "./optimizer.ts";
import { checkNumber, checkState } from "./settings.ts";

interface ClipPrograms {
  readonly square: RowProgram;
  /** The factor from the sum of squares. */
  readonly factor: RowProgram;
  readonly scale: RowProgram;
}

function clipPrograms(max: number): ClipPrograms {
  return {
    square: traceRows({
      name: "square",
      inputs: { grad: [] },
      params: {},
      fn: ({ grad }) => ({ square: square(grad) }),
    }),
    factor: traceRows({
      name: "factor of clipByGlobalNorm",
      inputs: { total: [] },
      params: {},
      fn({ total }) {
        const norm = sqrt(total);
        return { factor: where(greater(norm, max), div(max, norm), 1) };
      },
    }),
    scale: traceRows({
      name: "clipByGlobalNorm",
      inputs: { grad: [] },
      params: { factor: [] },
      fn: ({ grad }, { factor }) => ({ update: mul(factor, grad) }),
    }),
  };
}

/** `Σ g²` over all elements of all gradients, on the device. */
function sumSquares({ device }: Leaves, gradients: readonly Tensor[], program: RowProgram): Memory {
  const engine = engineOf(device);
  const lend = (length: number, use: (memory: Memory) => void): void => {
    const memory = engine.allocate(engine.dtype, length, "squares of gradients");
    use(memory);
    engine.free(memory);
  };
  const total = engine.allocate(engine.dtype, 1, "the sum of squares of gradients");
  const sum = (input: Memory, out: Memory, length: number): void =>
    engine.reduce({ op: "sum", input, out, outer: 1, length, inner: 1 });
  lend(gradients.length, (sums) => {
    for (const [k, gradient] of gradients.entries()) {
      const length = sizeOf(gradient.shape);
      lend(length, (squares) => {
        const inputs = [{ memory: memoryOf(gradient), start: null }];
        engine.map({ program, params: [], inputs, outputs: [squares], batch: 1, time: length });
        lend(1, (one) => {
          sum(squares, one, length);
          engine.copy(one, sums, { fromStart: 0, fromStride: 0, toStart: k, toStride: 0, width: 1, rows: 1 });
        });
      });
    }
    sum(sums, total, gradients.length);
  });
  return total;
}

/**
 * Scales all gradients by `min(1, max / norm)`, where `norm = √(Σ g²)` over all their elements (Pascanu et al. 2013, arXiv
 * 1211.5063). As in optax; to be put before another optimizer by `chain`. The norm is computed and used on the device:
 * nothing waits for it. It has no state.
 *
 * Cost: three passes over the gradients. In f32 the squares overflow where the norm is above 1.8e19, and all updates are 0 then;
 * they vanish below 1e-23, where nothing is clipped: as in optax and PyTorch. Throws a `RangeError` unless `max` is above 0.
 *
 * @example
 * ```ts
 * import { adam, chain, clipByGlobalNorm } from "@cervid/cervid";
 *
 * const optimizer = chain(clipByGlobalNorm(1), adam(1e-3));
 * console.log(optimizer);
 * ```
 */
export function clipByGlobalNorm(max: number): Optimizer<Record<never, never>> {
  checkNumber("Cannot make clipByGlobalNorm()", "max", max, { above: 0 });
  const context = "Cannot update by clipByGlobalNorm()";
  const programs = clipPrograms(max);
  return {
    init(params) {
      leavesOf("Cannot begin with clipByGlobalNorm()", params);
      return {};
    },
    update(grads, state, params) {
      const leaves = leavesOf(context, params);
      const given = matchLeaves(leaves, "grads", grads);
      checkState(context, state, []);
      const engine = engineOf(leaves.device);
      const total = sumSquares(leaves, given, programs.square);
      const factor = engine.allocate(engine.dtype, 1, "the factor of gradients");
      const inputs = [{ memory: total, start: null }];
      engine.map({ program: programs.factor, params: [], inputs, outputs: [factor], batch: 1, time: 1 });
      const updates = given.map((gradient, k) => updateLeaf(leaves, k, programs.scale, [gradient], factor, given)[0]!);
      for (const memory of [total, factor]) engine.free(memory);
      return { updates: treeLike(leaves, updates), state };
    },
  };
}
