// Gradients of sequences of unequal lengths, against those of each of them cut and run by itself.

import { type HostTensor, sum, type Tensor, tensor, toDevice, type Tree, valueAndGrad } from "../../mod.ts";
import { flattenTree } from "../../src/core/tree.ts";
import { concat } from "../../src/map/concat.ts";
import { reshape } from "../../src/map/reshape.ts";
import { isTensor } from "../../src/tensor.ts";
import { weighted } from "../grad/finite.ts";
import { assertClose, host, numbers, read, rowOf } from "../solve/arrays.ts";
import { MACHINES, someOf, testOn } from "../solve/machines.ts";
import { someParams, treeOf } from "./cases.ts";
import { cut, type Inputs, LENGTHS, SOME_CASES, someBatch, TIME } from "./lengths_cases.ts";

interface Given extends Tree<Tensor> {
  readonly p: Tree<Tensor>;
  readonly x: Tree<Tensor>;
}

for (const [k, [name, make]] of SOME_CASES.entries()) {
  testOn(MACHINES, `lengths: ${name}, gradients are those of the sequences by themselves`, async (device, machine) => {
    for (const reverse of someOf(machine, [true, false], 2, k)) {
      const layer = make(reverse);
      const { xs, h0, carry } = someBatch(layer);
      const weights = numbers(LENGTHS.length * TIME * layer.hidden, 1, 5);
      const row = TIME * layer.hidden;
      const counts = weights.map((w, i) =>
        Math.floor((i % row) / layer.hidden) < LENGTHS[Math.floor(i / row)]! ? w : 0
      );
      const weightsOf = host(counts, [LENGTHS.length, TIME, layer.hidden]);
      const endWeights = host(numbers(LENGTHS.length * layer.state, 1, 6), h0.shape);
      const gradients = async (
        x: Inputs,
        w: HostTensor,
        e: HostTensor,
        lengths?: number[],
      ): Promise<Map<string, Float64Array>> => {
        const own = {
          xs: tensor(device, x.xs),
          h0: tensor(device, x.h0),
          ...(x.carry && { carry: tensor(device, x.carry) }),
        };
        const [onYs, onEnds] = [tensor(device, w), tensor(device, e)];
        const { grads } = await valueAndGrad(({ p, x }: Given) => {
          const { xs, ...start } = x as { xs: Tensor; h0: Tensor };
          const { ys, hT } = layer.run(p, xs, { ...start, lengths });
          const ends = (value: Tensor): Tensor => reshape(value, [-1, layer.state]);
          const [loss, end] = [weighted(ys, onYs, [layer.hidden]), weighted(ends(hT), ends(onEnds), [layer.state])];
          return sum(concat([reshape(loss, [1]), reshape(end, [1])]));
        })({ p: toDevice(device, treeOf(someParams(layer))), x: own } as Given);
        const leaves = flattenTree<Tensor>(grads as Tree<Tensor>, isTensor);
        return new Map(await Promise.all(leaves.map(async ([path, leaf]) => [path, await read(leaf)] as const)));
      };
      const found = await gradients({ xs, h0, carry }, weightsOf, endWeights, LENGTHS);
      const expected = new Map<string, Float64Array>(
        [...found].map(([path, { length }]) => [path, new Float64Array(length)]),
      );
      for (const [b, length] of LENGTHS.entries()) {
        const own = { xs: cut(xs, b, length), h0: rowOf(h0, b), carry: carry && rowOf(carry, b) };
        for (const [path, gradient] of await gradients(own, cut(weightsOf, b, length), rowOf(endWeights, b))) {
          const all = expected.get(path)!;
          // Those of the parameters are sums over sequences; the padding has none.
          const start = path.startsWith("p.") ? 0 : b * all.length / LENGTHS.length;
          for (const [i, value] of gradient.entries()) all[start + i]! += value;
        }
      }
      // Sums of some 200 terms of size 1.
      for (const [path, values] of expected) {
        assertClose(found.get(path)!, values, 512 * machine.epsilon, `${name}: ${path}`);
      }
    }
  });
}
