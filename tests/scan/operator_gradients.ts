// The weighted sum of all prefixes: by plain folds, and its gradient on a device.

import {
  associativeScan,
  concat,
  type Device,
  reshape,
  sum,
  type Tensor,
  tensor,
  type TensorLike,
  type Tree,
  valueAndGrad,
} from "../../mod.ts";
import { flattenTree, mapTree } from "../../src/core/tree.ts";
import type { HostTensor } from "../../src/core/types.ts";
import { isTensor, isTensorLike } from "../../src/tensor.ts";
import { weighted } from "../grad/finite.ts";
import { host, numbers, read } from "../solve/arrays.ts";
import type { OperatorCase, PlainElement } from "./operator_cases.ts";
import { foldPlain, leavesOf, paramArrays } from "./operator_support.ts";

/** Arrays by their paths. */
export type Arrays = Readonly<Record<string, HostTensor>>;

/** Arrays by their paths. */
export function flat(tree: Tree<HostTensor>): Arrays {
  return Object.fromEntries(flattenTree<HostTensor>(tree, (value): value is HostTensor => isTensorLike(value)));
}

/** What a loss weighs the outputs with, by their paths. */
export function weightsOf(given: OperatorCase, leading: readonly number[]): Arrays {
  const rows = leading.reduce((a, b) => a * b, 1);
  return Object.fromEntries(
    leavesOf(given).map(([path, shape], k) => {
      const size = shape.reduce((a, b) => a * b, 1);
      return [path, host(numbers(rows * size, 1, 20 + k), [...leading, ...shape])];
    }),
  );
}

/** The weighted sum of all prefixes, by a plain fold. */
export function plainLoss(
  given: OperatorCase,
  weights: Arrays,
  batch: number,
  time: number,
  reverse: boolean,
): (arrays: Arrays) => number {
  return (arrays) => {
    const rows = Array.from(
      { length: batch * time },
      (_, r): PlainElement =>
        Object.fromEntries(
          leavesOf(given).map(([path, shape]) => {
            const size = shape.reduce((a, b) => a * b, 1);
            return [path, Array.from(arrays[`elements.${path}`]!.data.slice(r * size, (r + 1) * size))];
          }),
        ),
    );
    const params = Object.fromEntries(
      Object.keys(given.params).map((path) => [path, Array.from(arrays[`params.${path}`]!.data)]),
    );
    const out = foldPlain({ ...given, params }, rows, batch, time, reverse);
    let total = 0;
    for (const [path] of leavesOf(given)) {
      const values = out.flatMap((row) => row[path]!);
      for (const [i, value] of values.entries()) total += weights[path]!.data[i]! * value;
    }
    return total;
  };
}

type Problem = { readonly elements: Tree<Tensor>; readonly params: Tree<Tensor> };

/** The gradient of the same loss on a device, by paths. */
export async function gradientsOn(
  device: Device,
  given: OperatorCase,
  weights: Arrays,
  elements: Tree<HostTensor>,
  reverse: boolean,
): Promise<Record<string, Float64Array>> {
  const put = (tree: Tree<HostTensor>): Tree<Tensor> =>
    mapTree<TensorLike, Tensor>(tree as Tree<TensorLike>, isTensorLike, (leaf) => tensor(device, leaf as HostTensor));
  const all: Problem = { elements: put(elements), params: put(paramArrays(given)) };
  const loss = valueAndGrad(({ elements, params }: Problem) => {
    const out = associativeScan(given.operator, elements, { params, reverse });
    const parts = flattenTree<Tensor>(out, isTensor).map(([path, value]) => {
      const shape = leavesOf(given).find(([name]) => name === path)![1];
      return reshape(weighted(value, tensor(device, weights[path]!), shape), [1]);
    });
    return sum(concat(parts));
  });
  const { value, grads } = await loss(all as never);
  const found: Record<string, Float64Array> = {};
  for (const [path, leaf] of flattenTree<Tensor>(grads as Tree<Tensor>, isTensor)) {
    found[path] = await read(leaf);
    leaf.dispose();
  }
  value.dispose();
  for (const [, leaf] of flattenTree<Tensor>(all as Tree<Tensor>, isTensor)) leaf.dispose();
  return found;
}
