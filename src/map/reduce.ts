import { describe } from "../core/describe.ts";
import { sizeOf } from "../core/shape.ts";
import { engineOf } from "../device.ts";
import type { Memory } from "../engine/engine.ts";
import { record } from "../tape.ts";
import { isTensor, memoryOf, type Tensor, wrapMemory } from "../tensor.ts";
import { mul } from "../trace/ops.ts";
import { type RowProgram, traceRows } from "../trace/rows.ts";

const scales = new Map<number, RowProgram>();

/** `y[t] = factor · x` for one number x and all t. */
function spreadProgram(factor: number): RowProgram {
  let program = scales.get(factor);
  if (program === undefined) {
    program = traceRows({
      name: "spread",
      inputs: { x: [] },
      access: { x: { per: "sequence" } },
      params: {},
      fn: ({ x }) => ({ value: mul(x, factor) }),
    });
    scales.set(factor, program);
  }
  return program;
}

function reduceAll(name: string, x: Tensor, factor: (size: number) => number): Tensor {
  if (!isTensor(x)) throw new TypeError(`Cannot take the ${name}: expected a tensor on a device, got ${describe(x)}`);
  const { device } = x;
  if (x.dtype !== device.dtype) {
    throw new TypeError(`Cannot take the ${name}: expected a tensor of ${device.dtype}, got ${x.dtype}`);
  }
  const engine = engineOf(device);
  const length = sizeOf(x.shape);
  const program = spreadProgram(factor(length));
  const label = `the ${name} of a tensor`;
  const total = engine.allocate(engine.dtype, 1, label);
  const out = engine.allocate(engine.dtype, 1, label);
  engine.reduce({ op: "sum", input: memoryOf(x), out: total, outer: 1, length, inner: 1 });
  const spread = (memory: Memory, to: Memory, time: number): void =>
    engine.map({ program, params: [], inputs: [{ memory, start: null }], outputs: [to], batch: 1, time });
  spread(total, out, 1);
  engine.free(total);
  const value = wrapMemory(device, [], out, label);
  record({
    name,
    inputs: [x],
    outputs: [value],
    holds: [],
    pullback([cotangent]) {
      const rows = engine.allocate(engine.dtype, length, "a cotangent");
      spread(cotangent!, rows, length);
      return [rows];
    },
  });
  return value;
}

/**
 * The sum of all elements, a tensor of shape `()`. Differentiable. Cost: one pass over `x`.
 *
 * @example
 * ```ts
 * import { openDevice, sum, tensor, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const x = tensor(device, { data: new Float32Array([1, 2, 3]), shape: [3] });
 * console.log((await toHost(sum(x))).data); // [6]
 * ```
 */
export function sum(x: Tensor): Tensor {
  return reduceAll("sum", x, () => 1);
}

/**
 * The mean of all elements, a tensor of shape `()`; NaN of none. Differentiable. Cost: one pass over `x`.
 *
 * @example
 * ```ts
 * import { mean, openDevice, tensor, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const x = tensor(device, { data: new Float32Array([1, 2, 3]), shape: [3] });
 * console.log((await toHost(mean(x))).data); // [2]
 * ```
 */
export function mean(x: Tensor): Tensor {
  return reduceAll("mean", x, (size) => size === 0 ? NaN : 1 / size);
}
