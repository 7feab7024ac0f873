// Running what cervid made of a function: through the public API, and node by node.

import { assert } from "@std/assert";
import { concat, reshape, slice } from "../../src/trace/ops.ts";
import * as ops from "../../src/trace/ops.ts";
import { createRandom } from "../../src/core/random.ts";
import { compileKernel, printBody } from "../../src/engine/cpu/kernel.ts";
import { Node, type Sym, Trace } from "../../src/trace/graph.ts";
import { memory, type Place, read } from "../../src/trace/places.ts";
import { defineStep, type Device, type Shape, solve, toHost } from "../../mod.ts";
import { count, type Vocabulary } from "./reference.ts";

/** A function of a vocabulary: it can be traced, and computed on numbers. */
export type Body = (o: Vocabulary, ...args: readonly Sym[]) => Sym;

/** A function with the leaves that stand for its arguments. */
export interface Traced {
  readonly trace: Trace;
  readonly leaves: readonly Node[];
  readonly output: Node;
}

/** Traces a function of arguments of the given shapes, outside any step. */
export function traceBody(body: Body, shapes: readonly Shape[], name = "test"): Traced {
  const trace = new Trace(name);
  const leaves = shapes.map((shape, i) => trace.leaf(`argument ${i}`, shape));
  const output = trace.run(() => body(ops, ...leaves));
  assert(output instanceof Node);
  return { trace, leaves, output };
}

/** Printed code of nodes as a function of the numbers of leaves; a node that is null gives no elements. */
export function compileNodes(
  outputs: readonly (Node | null)[],
  leaves: readonly Node[],
): (...data: readonly (readonly number[])[]) => number[][] {
  const places = new Map<Node, Place>();
  let width = 0;
  for (const leaf of leaves) {
    places.set(leaf, memory("IN", "", width));
    width += leaf.size;
  }
  const { lines, use } = printBody(outputs.filter((node) => node !== null), places);
  let size = 0;
  const ends = outputs.map((node) => {
    for (let i = 0; i < (node?.size ?? 0); i++) lines.push(`OUT[${size++}] = ${read(places.get(node!)!, i)};`);
    return size;
  });
  const kernel = compileKernel<(input: Float64Array, output: Float64Array) => void>("IN, OUT", lines, use);
  return (...data) => {
    leaves.forEach((leaf, i) => assert(data[i]?.length === leaf.size, `leaf ${i} needs ${leaf.size} numbers`));
    const output = new Float64Array(size);
    kernel(Float64Array.from(data.flat()), output);
    return ends.map((end, i) => Array.from(output.subarray(ends[i - 1] ?? 0, end)));
  };
}

/** The values of nodes by their printed code, given those of the leaves. */
export function runNodes(
  outputs: readonly (Node | null)[],
  leaves: ReadonlyMap<Node, readonly number[]>,
): number[][] {
  return compileNodes(outputs, [...leaves.keys()])(...leaves.values());
}

/** A vector cut into arrays of the given shapes. */
export function cut(v: Sym, shapes: readonly Shape[], o: Vocabulary = ops): Sym[] {
  let start = 0;
  return shapes.map((shape) => o.reshape(o.slice(v, start, start += count(shape)), shape));
}

/**
 * `body` in a step, at every row of arguments. `x`: the arguments are the input of each time step, so they are hoisted;
 * `h`: they are the state of each sequence, so they are computed in the sweep.
 */
export async function solveBody(
  body: Body,
  shapes: readonly Shape[],
  rows: readonly (readonly number[])[],
  size: number,
  device: Device,
  from: "x" | "h",
): Promise<number[][]> {
  const width = shapes.reduce((sum, shape) => sum + count(shape), 0);
  const flat = (v: Sym): Sym => reshape(body(ops, ...cut(v, shapes)), [size]);
  const f64 = (data: readonly number[], shape: Shape) => ({ data: Float64Array.from(data), shape });
  if (from === "x") {
    const step = defineStep({ name: "hoisted", state: size, input: width, params: {}, step: ({ x }) => flat(x) });
    const problem = { params: {}, xs: f64(rows.flat(), [rows.length, width]) };
    using solution = await solve(step, problem, { device, method: "sequential" });
    return split((await toHost(solution.ys)).data, size);
  }
  // The state holds the arguments and room for the answer; the answer comes first and is followed by the arguments.
  const state = width + size;
  const step = defineStep({
    name: "swept",
    state,
    input: 0,
    params: {},
    step: ({ h }) => concat(flat(slice(h, 0, width)), slice(h, 0, width)),
  });
  const h0 = f64(rows.flatMap((row) => [...row, ...new Array<number>(size).fill(0)]), [rows.length, state]);
  using solution = await solve(step, { params: {}, time: 1, h0 }, { device, method: "sequential" });
  return split((await toHost(solution.ys)).data, state).map((row) => row.slice(0, size));
}

function split(data: ArrayLike<number>, width: number): number[][] {
  const all = Array.from(data);
  return Array.from({ length: all.length / width }, (_, r) => all.slice(r * width, (r + 1) * width));
}

/** Distinct numbers spread over `low` to `high` in random order, none of them 0: away from the kinks of most functions. */
export function spread(length: number, low: number, high: number, seed: number): number[] {
  const random = createRandom(seed);
  const keys = Array.from({ length }, () => random.uniform());
  const order = keys.map((_, i) => i).sort((a, b) => keys[a]! - keys[b]!);
  return order.map((k) => low + (high - low) * (k + 0.37) / length);
}

/** Random numbers, uniform in -1 to 1. */
export function uniform(length: number, seed: number): number[] {
  const random = createRandom(seed);
  return Array.from({ length }, () => 2 * random.uniform() - 1);
}

/** Fails unless `|actual - expected| <= relative |expected| + absolute`; infinities and NaN must agree exactly. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { relative = 0, absolute = 0 }: { readonly relative?: number; readonly absolute?: number },
  label: string,
): void {
  assert(actual.length === expected.length, `${label}: ${actual.length} elements, expected ${expected.length}`);
  for (let i = 0; i < actual.length; i++) {
    const [got, wanted] = [actual[i]!, expected[i]!];
    if (Object.is(got, wanted) || got === wanted) continue;
    const tolerance = relative * Math.abs(wanted) + absolute;
    assert(
      Number.isFinite(wanted) && Math.abs(got - wanted) <= tolerance,
      `${label}: element ${i} is ${got}, expected ${wanted}, off by ${got - wanted}, allowed ${tolerance}`,
    );
  }
}
