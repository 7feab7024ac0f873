import { assert, assertEquals, assertRejects } from "@std/assert";
import { type HostTensor, solveJvp, solveVjp, type Tensor, type Tree } from "../../mod.ts";
import { flattenTree, mapTree } from "../../src/core/tree.ts";
import { isTensor, isTensorLike, type TensorLike } from "../../src/tensor.ts";
import { assertClose, host, numbers, read } from "./arrays.ts";
import { runLoop } from "./loops.ts";
import { MACHINES, PRECISE, testOn } from "./machines.ts";
import { CASES, LOOP_CASES, problemOf, type SolveCase, TORCH_CASES } from "./problems.ts";

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, v, i) => sum + v * b[i]!, 0);
const largest = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => Math.max(a, Math.abs(b)), 0);

/** A direction for everything that a case has. */
function directionOf({ params, xs, h0 }: SolveCase): {
  params: Tree<HostTensor>;
  xs?: HostTensor;
  h0: HostTensor;
} {
  let seed = 100;
  const like = ({ data, shape }: HostTensor): HostTensor => host(numbers(data.length, 1, seed++), shape);
  const tree = mapTree<TensorLike, HostTensor>(params, isTensorLike, (leaf) => like(leaf as HostTensor));
  return { params: tree, ...(xs && { xs: like(xs) }), h0: like(h0) };
}

for (const given of CASES) {
  testOn(MACHINES, `solveJvp: ${given.name}, <J v, u> = <v, Jᵀ u>`, async (device, { epsilon }) => {
    const v = directionOf(given);
    const shape = [given.h0.shape[0]!, given.time, given.step.state];
    const u = host(numbers(shape.reduce((a, b) => a * b), 1, 7), shape);
    using forward = await solveJvp(given.step, problemOf(given), v, { device });
    using backward = await solveVjp(given.step, problemOf(given), { device });
    const { params, xs, h0 } = await backward.pullback(u);
    assertEquals(forward.tangent.shape, shape);
    const moved = await read(forward.tangent);
    const left = dot(moved, u.data);
    let right = dot(v.h0.data, await read(h0)) + (v.xs === undefined ? 0 : dot(v.xs.data, await read(xs)));
    const directions = new Map(flattenTree<TensorLike>(v.params, isTensorLike) as [string, HostTensor][]);
    for (const [path, leaf] of flattenTree<Tensor>(params, isTensor)) {
      right += dot(directions.get(path)!.data, await read(leaf));
    }
    // Each side sums as many products as there are states.
    const size = largest(moved) * Math.sqrt(moved.length);
    assertClose([left], [right], 200 * epsilon * size * Math.sqrt(given.time), given.name);
    assert(Math.abs(left) > 1e-3 * largest(moved), "the direction is seen");
  });
}

for (const given of LOOP_CASES) {
  testOn(PRECISE, `solveJvp: ${given.name}, against differences along the direction`, async (device) => {
    const v = directionOf(given);
    const at = (s: number): ArrayLike<number> => {
      const move = (value: HostTensor, along: HostTensor): HostTensor =>
        host(Array.from(value.data, (x, i) => x + s * along.data[i]!), value.shape);
      const along = new Map(flattenTree<TensorLike>(v.params, isTensorLike) as [string, HostTensor][]);
      const params = mapTree<TensorLike, HostTensor>(
        given.params,
        isTensorLike,
        (leaf, path) => move(leaf as HostTensor, along.get(path)!),
      );
      const rule = given.ruleOf!(params as Record<string, HostTensor>);
      return runLoop(rule, move(given.h0, v.h0), given.xs && move(given.xs, v.xs!), given.time).data;
    };
    const h = 1e-6;
    const [a, b, c, d] = [at(2 * h), at(h), at(-h), at(-2 * h)] as const;
    const wanted = Array.from(a, (_, i) => (8 * (b[i]! - c[i]!) - (a[i]! - d[i]!)) / (12 * h));
    using forward = await solveJvp(given.step, problemOf(given), v, { device, method: "deer" });
    assertClose(await read(forward.tangent), wanted, 1e-8 * (1 + largest(wanted)), given.name);
  });
}

testOn(PRECISE, "solveJvp: what is absent stands still; wrong tangents are refused", async (device) => {
  const given = TORCH_CASES[0]!;
  const shape = [4, given.time, 9];
  using none = await solveJvp(given.step, problemOf(given), {}, { device });
  assertEquals([none.tangent.shape, largest(await read(none.tangent))], [shape, 0]);
  const one = host(numbers(9), [9]);
  using shared = await solveJvp(given.step, problemOf(given), { h0: one }, { device });
  const four = host([0, 1, 2, 3].flatMap(() => Array.from(one.data)), [4, 9]);
  using each = await solveJvp(given.step, problemOf(given), { h0: four }, { device });
  assertEquals(await read(shared.tangent), await read(each.tangent));
  using empty = await solveJvp(given.step, { params: given.params, xs: host([], [2, 0, 4]) }, { h0: one }, { device });
  assertEquals(empty.tangent.shape, [2, 0, 9]);
  const wrong: [tangents: Parameters<typeof solveJvp>[2], message: string][] = [
    [{ h0: host([1], [1]) }, "the tangent of h0 must have shape (9,), got (1,)"],
    [{ xs: host([1], [1]) }, `the tangent of xs must have shape (4, ${given.time}, 4), got (1,)`],
    [{ params: { bias: host([1], [1]) } }, "the tangent of params.bias must have shape (27,), got (1,)"],
    [{ params: { weight: host([1], [1]) } }, "got weight"],
    [{ x: one } as never, "the tangents may have params, xs, h0, got x"],
  ];
  for (const [tangents, message] of wrong) {
    await assertRejects(() => solveJvp(given.step, problemOf(given), tangents, { device }), TypeError, message);
  }
});
