import type { Shape, ShapeTree } from "../core/types.ts";
import { flattenTree } from "../core/tree.ts";
import { formatShape } from "../core/shape.ts";
import type { Node, Trace } from "./graph.ts";
import { misuse } from "./misuse.ts";

/** One parameter of a traced function: its path in the tree, and the leaf that stands for it. */
export interface ParameterLeaf {
  readonly path: string;
  readonly shape: Shape;
  readonly leaf: Node;
}

/** Whether `value` is a shape: the leaf of a tree of shapes. */
export function isShape(value: unknown): value is Shape {
  return Array.isArray(value);
}

/** A leaf for every shape of a tree, each of at most two axes; `what` names them in messages ("parameter"). */
export function traceLeaves(trace: Trace, context: string, what: string, shapes: ShapeTree): ParameterLeaf[] {
  return flattenTree<Shape>(shapes, isShape).map(([path, shape]): ParameterLeaf => {
    if (shape.length > 2 || !shape.every((axis) => Number.isSafeInteger(axis) && axis > 0)) {
      throw new RangeError(
        `${context}: ${what} "${path}" must have at most two axes of at least 1, got ${formatShape(shape)}`,
      );
    }
    return { path, shape: [...shape], leaf: trace.leaf(path, [...shape]) };
  });
}

/** The leaves in the tree of their shapes; an unknown name is an error at once, not `undefined` later. */
export function leafTree(
  name: string,
  what: string,
  shapes: ShapeTree,
  leaves: readonly ParameterLeaf[],
  prefix = "",
): unknown {
  const record: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(shapes)) {
    if (key.includes(".")) throw new RangeError(`Cannot define "${name}": ${what} names have no dots, got "${key}"`);
    const path = prefix === "" ? key : `${prefix}.${key}`;
    record[key] = isShape(value)
      ? leaves.find((leaf) => leaf.path === path)!.leaf
      : leafTree(name, what, value as ShapeTree, leaves, path);
  }
  return new Proxy(record, {
    get(target, key) {
      if (typeof key === "string" && !Object.hasOwn(target, key)) {
        const known = Object.keys(target).join(", ") || "none";
        throw misuse(
          name,
          `there is no ${what} "${prefix === "" ? key : `${prefix}.${key}`}"`,
          `declared are: ${known}`,
        );
      }
      return Reflect.get(target, key);
    },
  });
}
