import { checkKeys, describe } from "../core/describe.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { flattenTree, mapTree } from "../core/tree.ts";
import type { Shape, ShapeTree, Tree } from "../core/types.ts";
import type { ParameterSyms } from "../step.ts";
import { Node } from "../trace/graph.ts";
import { misuse } from "../trace/misuse.ts";
import { constant, type Operand } from "../trace/ops.ts";
import { isShape } from "../trace/parameters.ts";
import { type RowProgram, traceRows } from "../trace/rows.ts";

/** A tree like that of the shapes, with another kind of leaf. */
export type LeavesOf<E, Leaf> = string extends keyof E ? Tree<Leaf>
  : { readonly [K in keyof E]: NonNullable<E[K]> extends Shape ? Leaf : LeavesOf<NonNullable<E[K]>, Leaf> };

/** An operator as its user writes it. */
export interface OperatorSpec<E extends ShapeTree = ShapeTree, P extends ShapeTree = ShapeTree> {
  /** Names the operator in error messages. */
  name: string;
  /** Shapes of the arrays of one element: `[]` scalars, `[n]` vectors, `[m, n]` matrices. */
  element: E;
  /** Shapes of parameters, the same for all combinations; none by default. */
  params?: P;
  /**
   * `earlier ∘ later`, an element again: run once on symbols, made by the operations of `@cervid/cervid/ops`. It must be
   * associative, and need not commute.
   */
  combine(
    earlier: ParameterSyms<E>,
    later: ParameterSyms<E>,
    p: ParameterSyms<P>,
  ): LeavesOf<E, Operand>;
}

/** A traced operator on elements of several arrays: made by {@linkcode defineOperator}. */
export interface Operator<E extends ShapeTree = ShapeTree, P extends ShapeTree = ShapeTree> {
  /** The name it was given. */
  readonly name: string;
  /** Shapes of the arrays of one element. */
  readonly element: E;
  /** Shapes of its parameters. */
  readonly params: P;
}

const programs = new WeakMap<Operator, RowProgram>();

/** The graph of an operator: its inputs are the leaves of the earlier element, then those of the later. */
export function operatorProgram(operator: Operator): RowProgram {
  const program = typeof operator === "object" && operator !== null ? programs.get(operator) : undefined;
  if (program === undefined) {
    throw new TypeError(`Cannot use the operator: expected one made by defineOperator(), got ${describe(operator)}`);
  }
  return program;
}

function checkSpec(spec: OperatorSpec): void {
  if (typeof spec !== "object" || spec === null || typeof spec.combine !== "function") {
    throw new TypeError(`Cannot define an operator: expected { name, element, combine }, got ${describe(spec)}`);
  }
  checkKeys("Cannot define an operator", "the description", spec, ["name", "element", "params", "combine"]);
  const { name, element, params = {} } = spec;
  if (typeof name !== "string" || name === "") {
    throw new TypeError(`Cannot define an operator: name must be a string that is not empty, got ${describe(name)}`);
  }
  for (const [what, shapes] of [["element", element], ["params", params]] as const) {
    if (typeof shapes !== "object" || shapes === null || isShape(shapes)) {
      const got = isShape(shapes) ? `the shape ${formatShape(shapes)}` : describe(shapes);
      throw new TypeError(`Cannot define "${name}": ${what} must be a record of shapes, such as { a: [] }, got ${got}`);
    }
  }
  const leaves = flattenTree<Shape>(element, isShape);
  if (leaves.length === 0) throw new TypeError(`Cannot define "${name}": element must have at least one array, got {}`);
  for (const [path, shape] of leaves) {
    if (shape.length > 2 || !shape.every((axis) => Number.isSafeInteger(axis) && axis > 0)) {
      throw new RangeError(
        `Cannot define "${name}": element.${path} must have at most two axes of at least 1, got ${formatShape(shape)}`,
      );
    }
  }
}

/** What combine returned, in the order of the leaves of an element; a TraceError if it is no element. */
function resultLeaves(name: string, element: ShapeTree, result: unknown): Record<string, unknown> {
  const cure = "return a record of the arrays that an element has";
  if (typeof result !== "object" || result === null || result instanceof Node || Array.isArray(result)) {
    const got = result instanceof Node ? "a single value" : Array.isArray(result) ? "an array" : describe(result);
    throw misuse(name, `combine() returned ${got}, not an element`, cure);
  }
  const isValue = (value: unknown): value is Operand => value instanceof Node || typeof value === "number";
  const isLeaf = (value: unknown): value is unknown => isValue(value) || typeof value !== "object" || value === null;
  const given = new Map(flattenTree<unknown>(result as Tree<unknown>, isLeaf));
  const wanted = flattenTree<Shape>(element, isShape);
  const names = wanted.map(([path]) => path);
  if (names.some((path) => !given.has(path)) || given.size !== names.length) {
    const got = [...given.keys()].join(", ");
    throw misuse(name, `combine() returned { ${got} }, but an element is { ${names.join(", ")} }`, cure);
  }
  const leaves: Record<string, unknown> = {};
  for (const [path, shape] of wanted) {
    const value = given.get(path);
    if (!isValue(value)) throw misuse(name, `combine() returned ${describe(value)} for "${path}"`, cure);
    const node = typeof value === "number" ? constant(value) : value;
    if (!sameShape(node.shape, shape)) {
      throw misuse(
        name,
        `combine() returned shape ${formatShape(node.shape)} for "${path}", but element.${path} is ${
          formatShape(shape)
        }`,
        "slice, reshape or broadcast it",
      );
    }
    leaves[path] = node;
  }
  return leaves;
}

/**
 * Traces an associative operator `earlier ∘ later` on elements of several arrays, for {@linkcode associativeScan}: runs
 * `combine` once on symbols and keeps what it did.
 *
 * The law that it must obey is `(a ∘ b) ∘ c = a ∘ (b ∘ c)`, which no one proves: {@linkcode checkAssociativity} looks for
 * counterexamples. It need not commute, and need not have a neutral element.
 *
 * Throws a {@linkcode TraceError} where `combine` computes with symbols in JavaScript's own operators or does not return an
 * element; a `TypeError` or `RangeError` for shapes that are none.
 *
 * @example The composition of affine maps x → a x + b, first the earlier one
 * ```ts
 * import { checkAssociativity, defineOperator } from "@cervid/cervid";
 * import { add, mul } from "@cervid/cervid/ops";
 *
 * const affine = defineOperator({
 *   name: "affine",
 *   element: { a: [], b: [2] },
 *   combine: (earlier, later) => ({
 *     a: mul(later.a, earlier.a),
 *     b: add(mul(later.a, earlier.b), later.b),
 *   }),
 * });
 * console.log((await checkAssociativity(affine)).associative); // true
 * ```
 */
export function defineOperator<const E extends ShapeTree, const P extends ShapeTree = Record<never, Shape>>(
  spec: OperatorSpec<E, P>,
): Operator<E, P> {
  checkSpec(spec as unknown as OperatorSpec);
  const { name, element, params = {} } = spec;
  const program = traceRows({
    name,
    inputs: { earlier: element, later: element },
    params,
    fn: ({ earlier, later }, p) => resultLeaves(name, element, spec.combine(earlier, later, p)),
  });
  const copy = <T extends ShapeTree>(shapes: T): T =>
    mapTree<Shape, Shape>(shapes, isShape, (shape) => Object.freeze([...shape])) as T;
  const operator = { name, element: copy(element), params: copy(params as P) };
  programs.set(operator, program);
  return operator;
}
