import { assertEquals } from "@std/assert";
import {
  defineMap,
  enqueueSolve,
  map,
  mean,
  ops,
  solve,
  solveVjp,
  sum,
  type Tensor,
  tensor,
  type Tree,
  valueAndGrad,
} from "../../mod.ts";
import { flattenTree, mapTree } from "../../src/core/tree.ts";
import { isTensor, isTensorLike, type TensorLike } from "../../src/tensor.ts";
import { assertClose, host, numbers, read } from "../solve/arrays.ts";
import { MACHINES, PRECISE, someOf, testOn } from "../solve/machines.ts";
import { CASES, problemOf, TORCH_CASES } from "../solve/problems.ts";
import { weighted } from "./finite.ts";

type Device = Parameters<typeof tensor>[0];
const add = defineMap({ name: "add", inputs: { x: [], y: [] }, params: {}, map: ({ x, y }) => ops.add(x, y) });
const asRow = defineMap({
  name: "as row",
  inputs: { one: [], x: { shape: [], per: "sequence" } },
  params: {},
  map: ({ one, x }) => ops.mul(one, x),
});

/** The sum of two numbers. */
function plus(device: Device, x: Tensor, y: Tensor): Tensor {
  const one = tensor(device, host([1], [1]));
  return sum(map(add, { inputs: { x: map(asRow, { inputs: { one, x } }), y: map(asRow, { inputs: { one, x: y } }) } }));
}

for (const given of CASES) {
  testOn(MACHINES, `valueAndGrad: solve of ${given.name}, as solveVjp says`, async (device, machine) => {
    const { step, time, h0, xs } = given;
    const [B, D] = [h0.shape[0]!, step.state];
    const u = host(numbers(B * time * D, 1, 3), [B, time, D]);
    const w = host(numbers(B * D, 1, 4), [B, D]);
    const params = mapTree<TensorLike, Tensor>(given.params, isTensorLike, (leaf) => tensor(device, leaf as never));
    const all = { params, h0: tensor(device, h0), ...(xs && { xs: tensor(device, xs) }) };
    const bar = Float64Array.from(u.data);
    for (let b = 0; b < B; b++) {
      for (let i = 0; i < D; i++) bar[((b + 1) * time - 1) * D + i]! += w.data[b * D + i]!;
    }
    using forward = await solveVjp(step, problemOf(given), { device });
    const wanted = await forward.pullback(host(bar, u.shape));
    for (const queued of someOf(machine, [false, true], 2, given.name.length)) {
      const loss = valueAndGrad(async ({ params, h0, xs }: { params: Tree<Tensor>; h0: Tensor; xs?: Tensor }) => {
        const problem = { params, h0, ...(xs === undefined ? { time } : { xs }) };
        const { ys, yT } = queued ? enqueueSolve(step, problem) : await solve(step, problem);
        const ends = weighted(yT, tensor(device, w), [D]);
        return plus(device, weighted(ys, tensor(device, u), [D]), ends);
      });
      const { grads } = await loss(all as never);
      const found = new Map(flattenTree<Tensor>(grads as Tree<Tensor>, isTensor));
      const same = async (path: string, tensor: Tensor): Promise<void> => {
        const expected = await read(tensor);
        const size = expected.reduce((a, b) => Math.max(a, Math.abs(b)), 1);
        // The same kernels on the same numbers, but for the sum of both cotangents.
        assertClose(await read(found.get(path)!), expected, 8 * machine.epsilon * size * Math.sqrt(time), path);
      };
      for (const [path, leaf] of flattenTree<Tensor>(wanted.params, isTensor)) await same(`params.${path}`, leaf);
      await same("h0", wanted.h0);
      if (xs !== undefined) await same("xs", wanted.xs);
    }
  });
}

testOn(PRECISE, "valueAndGrad: one h0 for all sequences, and no steps", async (device) => {
  const { step, params, xs, time } = TORCH_CASES[0]!;
  const one = tensor(device, host(numbers(9), [9]));
  const shared = valueAndGrad(async (p: { h0: Tensor }) => mean((await solve(step, { params, xs: xs!, h0: p.h0 })).ys));
  const four = tensor(device, host([0, 1, 2, 3].flatMap(() => Array.from(numbers(9))), [4, 9]));
  const [a, b] = [await shared({ h0: one }), await shared({ h0: four })];
  const each = await read(b.grads.h0);
  assertEquals(a.grads.h0.shape, [9]);
  assertClose(
    await read(a.grads.h0),
    Array.from({ length: 9 }, (_, i) => each[i]! + each[9 + i]! + each[18 + i]! + each[27 + i]!),
    1e-16,
    `${time} steps`,
  );
  const none = host([], [2, 0, 4]);
  const still = valueAndGrad(async (p: { h0: Tensor }) => sum((await solve(step, { params, xs: none, h0: p.h0 })).yT));
  assertEquals(await read((await still({ h0: one })).grads.h0), new Float64Array(9).fill(2));
});
