/**
 * A step evaluated by walking its graph, node after node, in every step of time: what cervid would be without its
 * printer. It serves as a baseline only, for the operations that a GRU needs.
 */
import type { HostArray } from "../../src/core/types.ts";
import { ELEMENTWISE, isElementwise } from "../../src/trace/elementwise.ts";
import { type Node, topological } from "../../src/trace/graph.ts";
import type { StepProgram } from "../../src/trace/program.ts";

function evaluate(node: Node, values: ReadonlyMap<Node, ArrayLike<number>>, out: Float64Array): void {
  const [a, b, c] = node.args.map((arg) => values.get(arg)!);
  const pick = (array: ArrayLike<number> | undefined, i: number): number =>
    array === undefined ? 0 : array.length === 1 ? array[0]! : array[i]!;
  if (isElementwise(node.op)) {
    const { evaluate } = ELEMENTWISE[node.op];
    for (let i = 0; i < out.length; i++) out[i] = evaluate(pick(a, i), pick(b, i), pick(c, i));
  } else if (node.op === "matvec") {
    for (let i = 0; i < out.length; i++) {
      let total = 0;
      for (let j = 0; j < b!.length; j++) total += a![i * b!.length + j]! * b![j]!;
      out[i] = total;
    }
  } else if (node.op === "slice") {
    const { start = 0, stride = 1 } = node.attributes;
    for (let i = 0; i < out.length; i++) out[i] = a![start + i * stride]!;
  } else if (node.op === "reshape") {
    for (let i = 0; i < out.length; i++) out[i] = a![i]!;
  } else throw new Error(`Cannot walk the graph: no rule for ${node.op}`);
}

/** The states `(time, D)` of a step over `xs (time, I)` from zero, by a loop over the nodes of its graph. */
export function graphLoop(
  program: StepProgram,
  params: ReadonlyMap<string, HostArray>,
  xs: HostArray,
  time: number,
): Float64Array {
  const { input, state, h, x, t, output } = program;
  const values = new Map<Node, ArrayLike<number>>();
  for (const { path, leaf } of program.params) values.set(leaf, params.get(path)!);
  const order = topological([output]);
  for (const node of order) {
    if (node.op === "constant") values.set(node, node.attributes.data ?? [node.attributes.value!]);
    else if (node.op !== "leaf") values.set(node, new Float64Array(node.size));
  }
  const computed = order.filter((node) => node.op !== "constant" && node.op !== "leaf");
  const ys = new Float64Array(time * state);
  const before = new Float64Array(state);
  values.set(h, before);
  for (let step = 0; step < time; step++) {
    values.set(x, xs.subarray(step * input, (step + 1) * input));
    values.set(t, [step]);
    for (const node of computed) evaluate(node, values, values.get(node) as Float64Array);
    before.set(values.get(output) as Float64Array);
    ys.set(before, step * state);
  }
  return ys;
}
