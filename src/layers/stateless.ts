import { checkKeys, describe } from "../core/describe.ts";
import { formatShape, sizeOf } from "../core/shape.ts";
import type { Shape, ShapeTree, Tree } from "../core/types.ts";
import type { Device } from "../device.ts";
import type { InitOptions } from "../init_params.ts";
import type { RowFunction } from "../map/define_map.ts";
import { map } from "../map/map.ts";
import { reshape } from "../map/reshape.ts";
import { findDevice, place, shapeOf } from "../place.ts";
import { isTensorLike, type Tensor, type TensorLike } from "../tensor.ts";
import type { Sym } from "../trace/graph.ts";
import { assemble } from "./assemble.ts";
import { createRun, LAYER_OPTIONS, type LayerOptions } from "./layer_options.ts";
import type { SequenceLayer } from "./linear_layer.ts";

/** A layer that keeps nothing from one step to the next. */
export interface StatelessSpec {
  readonly name: string;
  readonly input: number;
  readonly hidden: number;
  /** Whether it makes one row of all steps; else it takes rows of any kind. */
  readonly pools?: boolean;
  readonly params: ShapeTree;
  init(device: Device, options?: InitOptions): Tree<Tensor>;
  /** `xs (..., input)` is on the device already. */
  apply(params: Tree<TensorLike>, xs: Tensor, options: LayerOptions): Tensor;
}

/** A layer from what it does, with checks at the door; `hT` of its `run` is of width 0. */
export function makeStateless(spec: StatelessSpec): SequenceLayer {
  const { name, input, hidden, params, pools = false } = spec;
  const context = `Cannot apply "${name}"`;
  const apply = (tree: Tree<TensorLike>, xs: TensorLike, options: LayerOptions = {}): Tensor => {
    checkKeys(context, "options", options, LAYER_OPTIONS);
    for (const what of ["h0", "carry"] as const) {
      if (options[what] === undefined) continue;
      throw new TypeError(`${context}: ${what} must be absent, as it has no state, got ${describe(options[what])}`);
    }
    const wanted = `${context}: xs must have shape (..., ${input})`;
    if (!isTensorLike(xs)) throw new TypeError(`${wanted}, got ${describe(xs)}`);
    const shape = shapeOf(context, "xs", xs);
    if (shape.at(-1) !== input) throw new TypeError(`${wanted}, got ${formatShape(shape)}`);
    if (Object.keys(params).length > 0) checkKeys(context, "params", tree, Object.keys(params));
    else if (Object.keys(tree ?? {}).length > 0) {
      throw new TypeError(`${context}: params must be {}, as it has none, got ${Object.keys(tree).join(", ")}`);
    }
    const temporary: Tensor[] = [];
    try {
      const device = findDevice(context, options.device, [tree, xs]);
      return spec.apply(tree, place(context, "xs", xs, device, temporary), options);
    } finally {
      for (const copy of temporary) copy.dispose();
    }
  };
  return {
    name,
    input,
    hidden,
    state: 0,
    carry: 0,
    direction: pools ? "both" : "none",
    pools,
    params,
    init: (device, options) => spec.init(device, options),
    apply,
    run(tree, xs, options) {
      const ys = apply(tree, xs, options);
      try {
        const lead: Shape = xs.shape.length === 3 ? [xs.shape[0]!] : [];
        return createRun({ ys, hT: assemble(ys.device, [...lead, 0], [], "no states") });
      } catch (error) {
        ys.dispose();
        throw error;
      }
    },
  };
}

/** A function of one input `x` over the rows of an array of any shape: all axes but the last count rows. Differentiable. */
export function mapRows(fn: RowFunction<Sym>, params: Tree<TensorLike>, xs: Tensor): Tensor {
  const { shape } = xs;
  if (shape.length === 2 || shape.length === 3) return map(fn, { inputs: { x: xs }, params });
  const width = shape.at(-1)!;
  using rows = reshape(xs, [width === 0 ? 0 : sizeOf(shape) / width, width]);
  using answer = map(fn, { inputs: { x: rows }, params });
  return reshape(answer, [...shape.slice(0, -1), answer.shape.at(-1)!]);
}
