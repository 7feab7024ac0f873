import { checkKeys, describe } from "../core/describe.ts";
import { formatShape, sameShape, sizeOf } from "../core/shape.ts";
import type { Shape, Tree } from "../core/types.ts";
import { type Device, engineOf } from "../device.ts";
import { findDevice, place, shapeOf } from "../place.ts";
import { placeParams } from "../place_params.ts";
import { record } from "../tape.ts";
import { isTensorLike, memoryOf, type Tensor, type TensorLike, wrapMemory } from "../tensor.ts";
import type { Sym } from "../trace/graph.ts";
import type { RowLeaf } from "../trace/rows.ts";
import { mappedProgram, type RowFunction, type RowResult } from "./define_map.ts";
import { type MapCall, pullBackMap } from "./map_pullback.ts";

/** The arrays that a mapped function is applied to. */
export interface MapArguments {
  /** `(B, T, ...shape)`, `(T, ...shape)` or `shape` by the names of the function's inputs; per sequence `(B, ...shape)` or `shape`. */
  inputs: { readonly [name: string]: TensorLike };
  /** Parameters in the tree that the function declares; absent where it has none. */
  params?: Tree<TensorLike>;
  /**
   * The rows before the first (after the last, for negative shifts) of inputs that are read with a shift s: `(B, |s|,
   * ...shape)` or `(|s|, ...shape)`, for shifts of 1 and -1 without that axis. Zeros where absent.
   */
  starts?: { readonly [name: string]: TensorLike };
}

/** What {@linkcode map} returns: a tensor for a single value, else a record of them. */
export type Mapped<R extends RowResult> = R extends Sym ? Tensor : { [K in keyof R]: Tensor };

/** The axes before those of a row: `(B, T)`, `(T)`, or none of a single row. */
interface Rows {
  readonly batch: number;
  readonly time: number;
  readonly batched: boolean;
  readonly leading: Shape;
}

/** B and T, from all inputs: those per step must agree. */
function findRows(context: string, leaves: readonly RowLeaf[], inputs: ReadonlyMap<string, TensorLike>): Rows {
  let rows: Rows | undefined;
  for (const { path, shape, per } of leaves) {
    if (per === "sequence") continue;
    const given = shapeOf(context, path, inputs.get(path)!);
    const axes = given.length - shape.length;
    if (axes < 0 || axes > 2 || !sameShape(given.slice(axes), shape)) {
      const wanted = [["B", "T", ...shape], ["T", ...shape], shape].map((axes) =>
        `(${axes.join(", ")}${axes.length === 1 ? "," : ""})`
      );
      throw new TypeError(`${context}: ${path} must have shape ${wanted.join(" or ")}, got ${formatShape(given)}`);
    }
    const leading = given.slice(0, axes);
    const [time = 1, batch = 1] = leading.toReversed();
    rows ??= { batch, time, batched: axes === 2, leading };
    if (!sameShape(leading, rows.leading)) {
      throw new TypeError(
        `${context}: ${path} must have the same rows as the other inputs, ${formatShape(rows.leading)}, got ${
          formatShape(leading)
        }`,
      );
    }
  }
  if (rows === undefined) throw new TypeError(`${context}: at least one input must have rows per step`);
  return rows;
}

/** The row or rows of each sequence: `(B, ...shape)`, or `shape` where there is no batch axis. */
function placeRow(
  context: string,
  what: string,
  value: TensorLike,
  shape: Shape,
  { batch, batched }: Rows,
  device: Device,
  temporary: Tensor[],
): Tensor {
  const wanted = batched ? [batch, ...shape] : shape;
  const placed = place(context, what, value, device, temporary);
  if (sameShape(placed.shape, wanted)) return placed;
  throw new TypeError(`${context}: ${what} must have shape ${formatShape(wanted)}, got ${formatShape(placed.shape)}`);
}

function namesOf(
  context: string,
  what: string,
  value: unknown,
  known: readonly string[],
  all: boolean,
): Map<string, TensorLike> {
  checkKeys(context, what, value, known);
  const entries = new Map(Object.entries(value as Record<string, TensorLike>));
  for (const name of known) {
    const tensorLike = entries.get(name);
    if (tensorLike === undefined && !all) continue;
    if (!isTensorLike(tensorLike)) {
      throw new TypeError(
        `${context}: ${what} "${name}" must be a tensor or { data, shape }, got ${describe(tensorLike)}`,
      );
    }
  }
  return entries;
}

/**
 * Applies a traced function to all rows: `y[b, t] = f(x[b, t - shift], ...; p, t)`. Arrays `(B, T, ...shape)`,
 * `(T, ...shape)` for one sequence, or `shape` for one row; the answers likewise. Differentiable.
 *
 * Cost: one pass that reads every input once and writes every output once; no copy is made of inputs that are read with a
 * shift. Throws a `TypeError` for shapes, dtypes or names that do not fit.
 *
 * @example A dense layer over a sequence
 * ```ts
 * import { defineMap, map, openDevice, tensor } from "@cervid/cervid";
 * import { add, matvec, tanh } from "@cervid/cervid/ops";
 *
 * const dense = defineMap({
 *   name: "dense",
 *   inputs: { x: [3] },
 *   params: { w: [4, 3], b: [4] },
 *   map: ({ x, p }) => tanh(add(matvec(p.w, x), p.b)),
 * });
 * await using device = await openDevice({ backend: "cpu" });
 * const x = tensor(device, { data: new Float32Array(100 * 3).fill(1), shape: [100, 3] });
 * const params = {
 *   w: { data: new Float32Array(12).fill(0.1), shape: [4, 3] },
 *   b: { data: new Float32Array(4), shape: [4] },
 * };
 * using y = map(dense, { inputs: { x }, params });
 * console.log(y.shape); // [100, 4]
 * ```
 */
export function map<R extends RowResult>(
  fn: RowFunction<R>,
  args: MapArguments,
  options: { device?: Device } = {},
): Mapped<R> {
  const { program, single } = mappedProgram(fn);
  const context = `Cannot map "${program.name}"`;
  checkKeys(context, "the arguments", args, ["inputs", "params", "starts"]);
  checkKeys(context, "options", options, ["device"]);
  const names = program.inputs.map(({ path }) => path);
  const given = namesOf(context, "inputs", args.inputs, names, true);
  const shifted = program.inputs.filter(({ shift, per }) => shift !== 0 && per === "step").map(({ path }) => path);
  const startsGiven = namesOf(context, "starts", args.starts ?? {}, shifted, false);
  const device = findDevice(context, options.device, [args.params, ...given.values(), ...startsGiven.values()]);
  const engine = engineOf(device);
  const rows = findRows(context, program.inputs, given);
  const temporary: Tensor[] = [];
  const outputs: Tensor[] = [];
  try {
    const params = placeParams(context, program.params, args.params ?? {}, device, temporary);
    const inputs = program.inputs.map((leaf) =>
      leaf.per === "step"
        ? place(context, leaf.path, given.get(leaf.path)!, device, temporary)
        : placeRow(context, leaf.path, given.get(leaf.path)!, leaf.shape, rows, device, temporary)
    );
    const starts = program.inputs.map((leaf) => {
      const start = startsGiven.get(leaf.path);
      const shape = Math.abs(leaf.shift) === 1 ? leaf.shape : [Math.abs(leaf.shift), ...leaf.shape];
      return start && placeRow(context, `starts.${leaf.path}`, start, shape, rows, device, temporary);
    });
    for (const { path, node } of program.outputs) {
      const shape = [...rows.leading, ...node.shape];
      const label = `${path} of "${program.name}"`;
      outputs.push(wrapMemory(device, shape, engine.allocate(engine.dtype, sizeOf(shape), label), label));
    }
    const { batch, time } = rows;
    engine.map({
      program,
      params: params.map(memoryOf),
      inputs: inputs.map((input, k) => ({ memory: memoryOf(input), start: starts[k] ? memoryOf(starts[k]) : null })),
      outputs: outputs.map(memoryOf),
      batch,
      time,
    });
    const present = starts.filter((start) => start !== undefined);
    const sources = [...params, ...inputs, ...present];
    const call: MapCall = {
      device,
      program,
      params: params.map(memoryOf),
      inputs: inputs.map(memoryOf),
      starts: starts.map((start) => start ? memoryOf(start) : null),
      batch,
      time,
    };
    record({
      name: "map",
      inputs: sources,
      outputs,
      holds: sources,
      pullback: (cotangents, wanted) => pullBackMap(call, cotangents, wanted),
    });
    const named = Object.fromEntries(program.outputs.map(({ path }, k) => [path, outputs[k]!]));
    return (single ? outputs[0] : named) as Mapped<R>;
  } catch (error) {
    for (const output of outputs) output.dispose();
    throw error;
  } finally {
    for (const copy of temporary) copy.dispose();
  }
}
