import { checkKeys, describe } from "../core/describe.ts";
import { mapTree } from "../core/tree.ts";
import type { Shape, ShapeTree } from "../core/types.ts";
import type { ParameterSyms } from "../step.ts";
import { Node, type Sym } from "../trace/graph.ts";
import { isShape } from "../trace/parameters.ts";
import { type RowAccess, type RowProgram, traceRows } from "../trace/rows.ts";

/** An array that a mapped function reads: the shape of one row, or that with where the row is. */
export type RowInputSpec = Shape | ({ readonly shape: Shape } & Partial<RowAccess>);

/** What a mapped function returns: one value, or several by name. */
export type RowResult = Sym | { readonly [name: string]: Sym };

/** A function over rows as its user writes it. */
export interface MapSpec<
  I extends { readonly [name: string]: RowInputSpec },
  P extends ShapeTree,
  R extends RowResult,
> {
  /** Names the function in error messages. */
  name: string;
  /**
   * Shapes of one row of each array: `[]` numbers, `[n]` vectors, `[m, n]` matrices. `{ shape, shift: s }` reads row
   * `t - s` of the sequence (a later one for negative s), zeros where there is none; `{ shape, per: "sequence" }` reads one
   * row for all t.
   */
  inputs: I;
  /** Shapes of the parameters, the same for all rows. */
  params: P;
  /** Run once on symbols: the inputs by name, the parameters `p` and the index of the row `t []`. */
  map(args: { readonly [K in keyof I]: Sym } & { readonly p: ParameterSyms<P>; readonly t: Sym }): R;
}

/** A traced function over rows: made by {@linkcode defineMap}, applied by `map`. */
export interface RowFunction<R extends RowResult = RowResult> {
  /** The name it was given. */
  readonly name: string;
  /** Shapes of one row of each array it reads. */
  readonly inputs: ShapeTree;
  /** Shapes of its parameters. */
  readonly params: ShapeTree;
  /** Shapes of one row of what it returns, by name; a single value is called `value`. */
  readonly outputs: ShapeTree;
  /** Tells the type checker what it returns; absent at run time. */
  readonly result?: R;
}

/** What engines need of a function over rows. */
export interface MappedProgram {
  readonly program: RowProgram;
  readonly params: ShapeTree;
  /** Whether it returns one value without a name. */
  readonly single: boolean;
}

const programs = new WeakMap<RowFunction, MappedProgram>();

/** The graph of a function over rows; a TypeError if it was not made by cervid. */
export function mappedProgram(fn: RowFunction): MappedProgram {
  const program = typeof fn === "object" && fn !== null ? programs.get(fn) : undefined;
  if (program === undefined) {
    throw new TypeError(`Cannot map: expected a function made by defineMap(), got ${describe(fn)}`);
  }
  return program;
}

/**
 * Traces a function of one row, to be applied to all rows (b, t) by `map`: `y[b, t] = f(x[b, t], ...; p, t)`. It is run once
 * on symbols; from the trace come code for every engine and the derivatives.
 *
 * Throws a {@linkcode TraceError} for what operations do not allow, a `RangeError` for shapes out of range.
 *
 * @example Gates of a linear recurrence from an input and the one before it
 * ```ts
 * import { defineMap } from "@cervid/cervid";
 * import { add, matvec, mul, sigmoid, sub } from "@cervid/cervid/ops";
 *
 * const gates = defineMap({
 *   name: "gates",
 *   inputs: { x: [3], before: { shape: [3], shift: 1 } },
 *   params: { w: [4, 3], v: [4, 3] },
 *   map: ({ x, before, p }) => {
 *     const a = sigmoid(matvec(p.w, before));
 *     return { a, b: mul(sub(1, a), add(matvec(p.v, x), 0)) };
 *   },
 * });
 * console.log(gates.outputs); // { a: [4], b: [4] }
 * ```
 */
export function defineMap<
  const I extends { readonly [name: string]: RowInputSpec },
  const P extends ShapeTree,
  const R extends RowResult,
>(spec: MapSpec<I, P, R>): RowFunction<R> {
  checkKeys("Cannot define a map", "the description", spec, ["name", "inputs", "params", "map"]);
  const { name } = spec;
  if (typeof name !== "string" || name === "") {
    throw new TypeError(`Cannot define a map: name must be a string that is not empty, got ${describe(name)}`);
  }
  const context = `Cannot define "${name}"`;
  for (
    const [what, value, type] of [["inputs", spec.inputs, "object"], ["params", spec.params, "object"], [
      "map",
      spec.map,
      "function",
    ]]
  ) {
    if (typeof value !== type || value === null) {
      throw new TypeError(
        `${context}: ${String(what)} must be ${type === "object" ? "a record of shapes" : "a function"}, got ${
          describe(value)
        }`,
      );
    }
  }
  const shapes: Record<string, Shape> = {};
  const access: Record<string, Partial<RowAccess>> = {};
  for (const [input, value] of Object.entries(spec.inputs)) {
    if (input === "p" || input === "t") {
      throw new RangeError(
        `${context}: "${input}" stands for ${input === "p" ? "the parameters" : "the row"}, it cannot name an input`,
      );
    }
    const { shape, ...rest } = isShape(value) ? { shape: value } : value;
    if (!isShape(shape)) {
      throw new TypeError(`${context}: the shape of "${input}" must be an array, got ${describe(shape)}`);
    }
    checkKeys(context, `the input "${input}"`, rest, ["shift", "per"]);
    const { per, shift } = rest as Partial<RowAccess>;
    if (per === "sequence" && shift !== undefined) {
      throw new RangeError(`${context}: "${input}" has one row a sequence, and no shift, got ${describe(shift)}`);
    }
    if (per !== undefined && per !== "step" && per !== "sequence") {
      throw new RangeError(`${context}: per of "${input}" must be "step" or "sequence", got ${describe(per)}`);
    }
    shapes[input] = shape;
    access[input] = rest;
  }
  let single = false;
  const program = traceRows({
    name,
    inputs: shapes,
    access,
    params: spec.params,
    fn(inputs, p, t) {
      // Names that do not exist are errors of the tree of inputs.
      const args = new Proxy({}, { get: (_, key) => key === "p" ? p : key === "t" ? t : inputs[key] });
      const result: unknown = spec.map(args as Parameters<typeof spec.map>[0]);
      single = result instanceof Node || typeof result !== "object" || result === null;
      return single ? { value: result } : result as Record<string, unknown>;
    },
  });
  const copy = (tree: ShapeTree): ShapeTree =>
    mapTree<Shape, Shape>(tree, isShape, (shape) => Object.freeze([...shape]));
  const fn: RowFunction<R> = {
    name,
    inputs: copy(shapes),
    params: copy(spec.params),
    outputs: Object.fromEntries(program.outputs.map(({ path, node }) => [path, node.shape])),
  };
  programs.set(fn, { program, params: spec.params, single });
  return fn;
}
