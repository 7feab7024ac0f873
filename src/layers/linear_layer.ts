import type { ShapeTree, Tree } from "../core/types.ts";
import type { Device } from "../device.ts";
import type { InitOptions } from "../init_params.ts";
import { defineStep, programOf, type Step } from "../step.ts";
import type { Tensor, TensorLike } from "../tensor.ts";
import type { AnyLayerSpec, LinearLayerSpec } from "./describe_layer.ts";
import type { LayerDirection } from "./directions.ts";
import { makeLayerMaps } from "./layer_maps.ts";
import { createRun, type LayerOptions, type LayerRun } from "./layer_options.ts";
import { type CompiledLayer, runLayer } from "./run_layer.ts";
import { checkLayerSpec, traceCell } from "./trace_layer.ts";

/** A layer over whole sequences: inputs `(B, T, I)` to outputs `(B, T, H)`. */
export interface SequenceLayer {
  /** The name it was given. */
  readonly name: string;
  /** I */
  readonly input: number;
  /** H */
  readonly hidden: number;
  /** D: the states that one piece of a sequence hands to the next. */
  readonly state: number;
  /** C: the numbers of inputs that one piece hands to the next beside the states; 0 where the layer looks at no earlier input. */
  readonly carry: number;
  /** Which steps an output depends on. */
  readonly direction: LayerDirection;
  /** Whether it makes one row of all steps, as `pool` does: its outputs have no axis of time, `(B, H)` or `(H)`. */
  readonly pools: boolean;
  /** Shapes of its parameters. */
  readonly params: ShapeTree;
  /** Initial parameters on a device, reproducible from the seed. */
  init(device: Device, options?: InitOptions): Tree<Tensor>;
  /**
   * The outputs for whole sequences: `(B, T, I)` to `(B, T, H)`, `(T, I)` to `(T, H)`; without T if it pools. Differentiable in the parameters, xs
   * and h0. Throws a `TypeError` for shapes, dtypes or names that do not fit.
   */
  apply(params: Tree<TensorLike>, xs: TensorLike, options?: LayerOptions): Tensor;
  /** As {@linkcode apply}, and what the next piece of the same sequences starts from. */
  run(params: Tree<TensorLike>, xs: TensorLike, options?: LayerOptions): LayerRun;
}

/** A network on linear recurrences: made by {@linkcode defineLinearLayer} or by `sru`, `qrnn`, ... */
export interface LinearLayer extends SequenceLayer {
  /** k: the inputs that gates read at a step. */
  readonly window: number;
  /** Whether time runs backward. */
  readonly reverse: boolean;
  /**
   * One step of the recurrences, for `solve` and its methods: state `[D]`, their states one after the other; input `[k I]`,
   * the inputs `x[t-k+1]` to `x[t]`. The same parameters; it gives states, not outputs, and knows nothing of `reverse`.
   */
  readonly cell: Step;
}

/**
 * Defines a network on linear recurrences: a layer over whole sequences, and a cell for every method of `solve`, from one
 * description,
 *
 *     a[t], b[t] = gates(x[t-k+1 .. t], earlier states; p),  c[t] = a[t] ∘ c[t-1] + b[t],  y[t] = output(x, c, kept; p)
 *
 * As the gates read no state of their own recurrence, there is nothing to iterate: for each recurrence one map over all (b,
 * t), one scan, and at the end one map for the output. The cell's Jacobian is proved diagonal, unless gates read states of
 * other recurrences.
 *
 * The functions run on symbols, more than once; they may keep nothing. Cost: two passes over memory per recurrence and one
 * for the output, beside the products with parameters. Memory beside xs, in words per (b, t): while a recurrence is scanned 3 n
 * (2 n + 1 where `a` is a number), the states of those before it and what was kept; on WebGPU, while gates are computed, also
 * the products with matrices of 4096 elements and more, and where these read windows or functions of x a copy of what they
 * read. A sequence cut into pieces gives the same outputs, if `run` gets what the piece before it returned. With
 * `reverse` and the option `lengths` inputs and outputs are copied once, so that each sequence begins at its last step that
 * counts; outputs in the padding are then of no meaning.
 *
 * Throws a {@linkcode TraceError} where gates or output do not return what they should, a `TypeError` or `RangeError` for
 * a description that does not fit. Martin & Cundy 2018, arXiv 1709.04057.
 *
 * @example An exponential moving average whose rate depends on the input
 * ```ts
 * import { defineLinearLayer, openDevice } from "@cervid/cervid";
 * import { add, matvec, mul, sigmoid, sub } from "@cervid/cervid/ops";
 *
 * const average = defineLinearLayer({
 *   name: "average",
 *   input: 3,
 *   hidden: 3,
 *   params: { rate: [3, 3], bias: [3] },
 *   init: { bias: 2 },
 *   recurrences: [{
 *     name: "c",
 *     state: 3,
 *     gates: ({ x, p }) => {
 *       const a = sigmoid(add(matvec(p.rate, x), p.bias));
 *       return { a, b: mul(sub(1, a), x) };
 *     },
 *   }],
 *   output: ({ states }) => states.c.now,
 * });
 * console.log(average.cell.jacobian); // "diagonal"
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const params = average.init(device, { seed: 0 });
 * const piece = { data: new Float32Array(100 * 3).fill(1), shape: [100, 3] };
 * using first = average.run(params, piece);
 * using second = average.apply(params, piece, { h0: first.hT });
 * console.log(second.shape); // [100, 3]
 * ```
 */
export function defineLinearLayer<const P extends ShapeTree, const N extends string>(
  spec: LinearLayerSpec<P, N>,
): LinearLayer {
  const given = { ...spec } as unknown as AnyLayerSpec;
  checkLayerSpec(given);
  const { name, input, hidden, window = 1, reverse = false, recurrences, init } = given;
  const state = recurrences.reduce((total, recurrence) => total + recurrence.state, 0);
  const cell = defineStep({
    name,
    state,
    input: window * input,
    params: given.params as ShapeTree,
    units: hidden,
    ...(init === undefined ? {} : { init }),
    step: ({ h, x, p }) => traceCell(given, h, x, p),
  });
  const layer: CompiledLayer = { spec: given, params: programOf(cell).params, maps: makeLayerMaps(given), state };
  return {
    name,
    input,
    hidden,
    state,
    carry: (window - 1) * input,
    direction: reverse ? "backward" : "forward",
    pools: false,
    params: cell.params,
    window,
    reverse,
    cell,
    init: (device, options) => cell.init(device, options),
    apply: (params, xs, options = {}) => runLayer(layer, params, xs, options, false)[0]!,
    run(params, xs, options = {}) {
      const [ys, hT, carry] = runLayer(layer, params, xs, options, true) as [Tensor, Tensor, Tensor?];
      return createRun(carry === undefined ? { ys, hT } : { ys, hT, carry });
    },
  };
}
