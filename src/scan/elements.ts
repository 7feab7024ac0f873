import { describe } from "../core/describe.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { flattenTree } from "../core/tree.ts";
import type { Shape, Tree } from "../core/types.ts";
import { shapeOf } from "../place.ts";
import { isTensorLike, type TensorLike } from "../tensor.ts";

/** The path of an array in an element, and its shape there. */
export type ElementLeaf = readonly [path: string, shape: Shape];

/** The arrays of elements in the order of the leaves; a TypeError unless all are there, and no others. */
export function elementArrays(context: string, leaves: readonly ElementLeaf[], elements: unknown): TensorLike[] {
  if (typeof elements !== "object" || elements === null || isTensorLike(elements)) {
    const got = isTensorLike(elements) ? "a single array" : describe(elements);
    throw new TypeError(`${context}: elements must be a record of arrays, got ${got}`);
  }
  const given = new Map(flattenTree<TensorLike>(elements as Tree<TensorLike>, isTensorLike));
  const names = leaves.map(([path]) => path);
  const faults = [
    ...names.filter((path) => !given.has(path)).map((path) => `${path} is missing`),
    ...[...given.keys()].filter((path) => !names.includes(path)).map((path) => `${path} is unknown`),
  ];
  if (faults.length > 0) {
    throw new TypeError(`${context}: elements must be { ${names.join(", ")} }, but ${faults.join(", ")}`);
  }
  return names.map((path) => given.get(path)!);
}

/** `(B, T)`, or `(T)` of one sequence: the axes that all arrays have before those of an element. */
export function leadingAxes(
  context: string,
  leaves: readonly ElementLeaf[],
  arrays: readonly TensorLike[],
  axes: readonly string[] = ["B", "T"],
): Shape {
  let leading: Shape | undefined;
  for (const [k, [path, shape]] of leaves.entries()) {
    const given = shapeOf(context, `elements.${path}`, arrays[k]!);
    const count = given.length - shape.length;
    if (count < 1 || count > axes.length || !sameShape(given.slice(count), shape)) {
      const wanted = axes.map((_, i) => [...axes.slice(i), ...shape])
        .map((list) => `(${list.join(", ")}${list.length === 1 ? "," : ""})`).join(" or ");
      throw new TypeError(`${context}: elements.${path} must have shape ${wanted}, got ${formatShape(given)}`);
    }
    const own = given.slice(0, count);
    leading ??= own;
    if (!sameShape(own, leading)) {
      throw new TypeError(
        `${context}: elements.${path} must have shape ${formatShape([...leading, ...shape])}, to go with elements.${
          leaves[0]![0]
        }, got ${formatShape(given)}`,
      );
    }
  }
  return leading!;
}

/** A tree of the leaves' paths, with these values. */
export function treeOf<T>(leaves: readonly ElementLeaf[], values: readonly T[]): Tree<T> {
  const root: Record<string, unknown> = {};
  for (const [k, [path]] of leaves.entries()) {
    const names = path.split(".");
    let record = root;
    for (const name of names.slice(0, -1)) record = (record[name] ??= {}) as Record<string, unknown>;
    record[names.at(-1)!] = values[k];
  }
  return root as Tree<T>;
}
