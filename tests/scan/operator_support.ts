import { assertEquals } from "@std/assert";
import {
  associativeScan,
  type Device,
  type HostTensor,
  type Shape,
  type Tensor,
  type TensorLike,
  type Tree,
} from "../../mod.ts";
import { flattenTree } from "../../src/core/tree.ts";
import { isTensor } from "../../src/tensor.ts";
import { read } from "../solve/arrays.ts";
import { createDraw, type OperatorCase, type PlainElement } from "./operator_cases.ts";

/** Elements of B sequences of T steps, in the order of rows. */
export function drawElements({ draw }: OperatorCase, rows: number, seed: number): PlainElement[] {
  const random = createDraw(seed);
  return Array.from({ length: rows }, () => draw(random));
}

/** The leaves of an element with their shapes. */
export function leavesOf({ operator }: OperatorCase): [path: string, shape: Shape][] {
  return flattenTree<Shape>(operator.element, (value): value is Shape => Array.isArray(value));
}

/** A tree from values by their paths. */
export function nest<T>(values: Readonly<Record<string, T>>): Tree<T> {
  const tree: Record<string, T | Record<string, T>> = {};
  for (const [path, value] of Object.entries(values)) {
    const [first, second] = path.split(".") as [string, string?];
    if (second === undefined) tree[first] = value;
    else (tree[first] ??= {} as Record<string, T>)[second as keyof typeof tree[string]] = value as never;
  }
  return tree as Tree<T>;
}

/** Arrays `(...leading, ...shape)` of all leaves. */
export function elementArrays(
  given: OperatorCase,
  elements: readonly PlainElement[],
  leading: Shape,
): Tree<HostTensor> {
  return nest(Object.fromEntries(
    leavesOf(given).map(([path, shape]) => {
      const data = Float64Array.from(elements.flatMap((element) => element[path]!));
      return [path, { data, shape: [...leading, ...shape] }];
    }),
  ));
}

/** The parameters of a case. */
export function paramArrays({ operator, params }: OperatorCase): Tree<HostTensor> {
  const shapes = new Map(flattenTree<Shape>(operator.params, (value): value is Shape => Array.isArray(value)));
  return nest(Object.fromEntries(
    Object.entries(params).map(([path, data]) => [path, { data: Float64Array.from(data), shape: shapes.get(path)! }]),
  ));
}

/** All prefixes, or suffixes from the end, folded with plain loops: rows of every leaf. */
export function foldPlain(
  { combine, params }: OperatorCase,
  elements: readonly PlainElement[],
  batch: number,
  time: number,
  reverse: boolean,
): PlainElement[] {
  const out = new Array<PlainElement>(batch * time);
  for (let b = 0; b < batch; b++) {
    for (let r = 0; r < time; r++) {
      const row = b * time + (reverse ? time - 1 - r : r);
      const before = row + (reverse ? 1 : -1);
      out[row] = r === 0 ? elements[row]! : combine(out[before]!, elements[row]!, params);
    }
  }
  return out;
}

/** Scans on a device; the answer as rows of every leaf, freed. */
export async function scanOn(
  device: Device,
  given: OperatorCase,
  elements: Tree<TensorLike>,
  leading: Shape,
  reverse: boolean,
): Promise<Record<string, Float64Array>> {
  const answer = associativeScan(given.operator, elements, { device, reverse, params: paramArrays(given) });
  const found: Record<string, Float64Array> = {};
  for (const [path, value] of flattenTree<Tensor>(answer, isTensor)) {
    const shape = leavesOf(given).find(([name]) => name === path)![1];
    assertEquals(value.shape, [...leading, ...shape], path);
    found[path] = await read(value);
    value.dispose();
  }
  assertEquals(Object.keys(found), leavesOf(given).map(([path]) => path));
  return found;
}
