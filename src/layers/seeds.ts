import { flattenTree } from "../core/tree.ts";
import type { Shape, ShapeTree } from "../core/types.ts";
import { isShape } from "../trace/parameters.ts";

/**
 * The seed of a layer that follows others in one model. Seeds differ in their high half by the number of parameters before, so
 * that no two layers of a model start alike, however it is nested.
 */
export function seedAfter(seed: number, before: readonly ShapeTree[]): number {
  const leaves = before.reduce((total, params) => total + flattenTree<Shape>(params, isShape).length, 0);
  return seed + leaves * 2 ** 32;
}
