import { describe } from "./describe.ts";
import type { Tree } from "./types.ts";

/** The leaves of a tree with their paths ("layer.weight"), in the order of sorted names: one order on every machine. */
export function flattenTree<Leaf>(
  tree: Tree<Leaf>,
  isLeaf: (value: unknown) => value is Leaf,
  prefix = "",
): [path: string, leaf: Leaf][] {
  const leaves: [string, Leaf][] = [];
  for (const name of Object.keys(tree).sort()) {
    const value = tree[name]!;
    const path = prefix === "" ? name : `${prefix}.${name}`;
    if (isLeaf(value)) leaves.push([path, value]);
    else leaves.push(...flattenTree(recordAt(path, value), isLeaf, path));
  }
  return leaves;
}

/** The same tree with `fn(leaf, path)` in place of every leaf. */
export function mapTree<A, B>(
  tree: Tree<A>,
  isLeaf: (value: unknown) => value is A,
  fn: (leaf: A, path: string) => B,
  prefix = "",
): Tree<B> {
  const result: Record<string, B | Tree<B>> = {};
  for (const name of Object.keys(tree).sort()) {
    const value = tree[name]!;
    const path = prefix === "" ? name : `${prefix}.${name}`;
    result[name] = isLeaf(value) ? fn(value, path) : mapTree(recordAt(path, value), isLeaf, fn, path);
  }
  return result;
}

function recordAt<Leaf>(path: string, value: Leaf | Tree<Leaf>): Tree<Leaf> {
  const list = Array.isArray(value) || ArrayBuffer.isView(value);
  if (typeof value === "object" && value !== null && !list) return value as Tree<Leaf>;
  throw new TypeError(
    `Cannot read the tree: "${path}" must be a leaf, such as { data, shape }, or a record, got ${describe(value)}`,
  );
}
