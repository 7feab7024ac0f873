import type { InitRules } from "../init.ts";
import { checkKeys, describe } from "../core/describe.ts";
import { checkCount } from "../core/shape.ts";
import { initParams } from "../init_params.ts";
import type { Shape } from "../core/types.ts";
import { defineMap } from "../map/define_map.ts";
import { add, div, mean, mul, sqrt, square, sub } from "../trace/ops.ts";
import type { SequenceLayer } from "./linear_layer.ts";
import { makeStateless, mapRows } from "./stateless.ts";

/** Settings of {@linkcode layerNorm}. */
export interface LayerNormOptions {
  /** n: the length of the last axis. */
  size: number;
  /** Whether `weight` and `bias` follow. Default true. */
  affine?: boolean;
  /** ε, added to the variance. Default 1e-5. */
  eps?: number;
}

/**
 * Layer normalisation of every row, `y = (x - mean x) / √(var x + ε) ∘ weight + bias` with the mean of squares as variance:
 * `(..., n)` to `(..., n)`.
 *
 * Parameters `weight (n)` and `bias (n)`, which start from 1 and 0 by every scheme; none without `affine`. No state. Cost: one
 * pass over memory, each row by one invocation or one workgroup. A row of equal numbers gives `bias`, and a gradient of up to
 * 1/√ε times that of others.
 *
 * Throws a `RangeError` for a size below 1 or an ε that is not positive. Ba, Kiros & Hinton 2016, arXiv 1607.06450.
 *
 * @example
 * ```ts
 * import { layerNorm, openDevice, toHost } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const norm = layerNorm({ size: 2, affine: false });
 * using ys = norm.apply({}, { data: new Float32Array([1, 3]), shape: [1, 2] }, { device });
 * console.log((await toHost(ys)).data); // [-0.99..., 0.99...]
 * ```
 */
export function layerNorm(options: LayerNormOptions): SequenceLayer {
  const context = "Cannot make layerNorm()";
  checkKeys(context, "options", options, ["size", "affine", "eps"]);
  const { size, affine = true, eps = 1e-5 } = options;
  checkCount(context, "size", size, 1);
  if (typeof affine !== "boolean") {
    throw new TypeError(`${context}: affine must be true or false, got ${describe(affine)}`);
  }
  if (!(typeof eps === "number" && eps > 0 && eps < Infinity)) {
    throw new RangeError(`${context}: eps must be a number above 0, got ${describe(eps)}`);
  }
  const params: Record<string, Shape> = affine ? { weight: [size], bias: [size] } : {};
  const rules: InitRules = affine ? { weight: 1, bias: 0 } : {};
  const fn = defineMap({
    name: "layerNorm",
    inputs: { x: [size] },
    params,
    map: ({ x, p }) => {
      const centered = sub(x, mean(x));
      const scaled = div(centered, sqrt(add(mean(square(centered)), eps)));
      return affine ? add(mul(scaled, p.weight), p.bias) : scaled;
    },
  });
  return makeStateless({
    name: "layerNorm",
    input: size,
    hidden: size,
    params,
    init: (device, { seed = 0 } = {}) => initParams(device, "layerNorm", params, { rules, units: size }, { seed }),
    apply: (tree, xs) => mapRows(fn, tree, xs),
  });
}
