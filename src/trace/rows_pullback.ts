import { vjp } from "./differentiate.ts";
import type { Node } from "./graph.ts";
import type { ParameterLeaf } from "./parameters.ts";
import type { RowLeaf, RowOutput, RowProgram } from "./rows.ts";
import { topological } from "./graph.ts";

/** A value of each row: an output of the pullback's program, or an input that is there already. */
export type RowValue =
  | { readonly from: "output"; readonly index: number }
  | { readonly from: "input"; readonly index: number };

/** What flows back to one input of a function over rows, before its shift is undone. */
export interface InputCotangent {
  /** The output that holds it, or a part of it. */
  readonly rows: number | null;
  /** Further parts `g[row] · W`, large products with a parameter: work for a kernel of products. */
  readonly products: readonly { readonly value: RowValue; readonly parameter: number }[];
}

/** What flows back to one parameter: `Σ_rows outputs[sum]` + `Σ_rows left[row] right[row]ᵀ`. */
export interface ParameterCotangent {
  readonly sum: number | null;
  readonly products: readonly { readonly left: RowValue; readonly right: RowValue }[];
}

/** The pullback of a function over rows: another one, and what is to be done with its outputs. */
export interface RowPullback {
  readonly program: RowProgram;
  /** Of the program's parameters and inputs: which of the function they are; an input may be the cotangent of an output. */
  readonly params: readonly number[];
  readonly inputs: readonly { readonly of: "input" | "cotangent"; readonly index: number }[];
  /** Null: not wanted, or provably zero. */
  readonly inputCotangents: readonly (InputCotangent | null)[];
  readonly parameterCotangents: readonly (ParameterCotangent | null)[];
}

/** Which cotangents are given, and which are wanted. */
export interface PullbackRequest {
  readonly outputs: readonly boolean[];
  readonly inputs: readonly boolean[];
  readonly params: readonly boolean[];
}

/** Smaller matrices are multiplied where the product is used. */
const LEAST_PRODUCT = 4096;

const cache = new WeakMap<RowProgram, Map<string, RowPullback>>();

/** The pullback of a function over rows, made at first use and kept as long as the function. */
export function pullbackRows(program: RowProgram, request: PullbackRequest): RowPullback {
  let known = cache.get(program);
  if (known === undefined) cache.set(program, known = new Map());
  const key = [request.outputs, request.inputs, request.params].map((mask) => mask.map(Number).join("")).join("|");
  let pullback = known.get(key);
  if (pullback === undefined) known.set(key, pullback = makePullback(program, request));
  return pullback;
}

/** The terms of a sum. */
function terms(total: Node): Node[] {
  return total.op === "add" ? total.args.flatMap(terms) : [total];
}

/** The sum of nodes of one shape, null if there are none. */
function sumOf(nodes: readonly Node[]): Node | null {
  return nodes.length === 0 ? null : nodes.reduce((a, b) => a.trace.node("add", [a, b], a.shape));
}

function makePullback(program: RowProgram, request: PullbackRequest): RowPullback {
  const { trace, name } = program;
  const given = program.outputs.flatMap(({ node }, k) => request.outputs[k] ? [{ node, k }] : []);
  const cotangents = given.map(({ node, k }): RowLeaf => ({
    path: `cotangent ${program.outputs[k]!.path}`,
    shape: node.shape,
    leaf: trace.leaf("cotangent", node.shape),
    shift: 0,
    per: "step",
  }));
  const wanted = <T>(list: readonly T[], mask: readonly boolean[]): T[] => list.filter((_, k) => mask[k]);
  const leaves = [...wanted(program.inputs, request.inputs), ...wanted(program.params, request.params)];
  const totals = new Map(
    vjp(given.map(({ node }) => node), cotangents.map(({ leaf }) => leaf), leaves.map(({ leaf }) => leaf))
      .map((total, k) => [leaves[k]!.leaf, total] as const),
  );
  const outputs: RowOutput[] = [];
  const output = (node: Node): number => {
    const known = outputs.findIndex((other) => other.node === node);
    if (known >= 0) return known;
    outputs.push({ path: `${outputs.length}`, node });
    return outputs.length - 1;
  };
  // Leaves that are read at their own row need not be written again.
  const sources = [
    ...program.inputs.map((input, index) => ({ ...input, of: "input" as const, index })),
    ...cotangents.map((input, k) => ({ ...input, of: "cotangent" as const, index: given[k]!.k })),
  ];
  const named: (typeof sources)[number][] = [];
  const value = (node: Node): RowValue => {
    const source = sources.find(({ leaf, shift, per }) => leaf === node && shift === 0 && per === "step");
    if (source === undefined) return { from: "output", index: output(node) };
    if (!named.includes(source)) named.push(source);
    return { from: "input", index: named.indexOf(source) };
  };
  const parameterOf = (node: Node): number => program.params.findIndex(({ leaf }) => leaf === node);
  const inputCotangents = program.inputs.map(({ leaf, shape }): InputCotangent | null => {
    const total = totals.get(leaf) ?? null;
    if (total === null) return null;
    const isProduct = ({ op, args }: Node): boolean =>
      op === "matvecTransposed" && parameterOf(args[0]!) >= 0 && args[0]!.size >= LEAST_PRODUCT;
    const parts = shape.length === 1 ? terms(total) : [total];
    const rest = sumOf(parts.filter((part) => !isProduct(part)));
    const products = parts.filter(isProduct)
      .map(({ args }) => ({ value: value(args[1]!), parameter: parameterOf(args[0]!) }));
    return { rows: rest && output(rest), products };
  });
  const parameterCotangents = program.params.map(({ leaf }): ParameterCotangent | null => {
    const total = totals.get(leaf) ?? null;
    if (total === null) return null;
    const parts = terms(total);
    const rest = sumOf(parts.filter(({ op }) => op !== "outer"));
    const products = parts.filter(({ op }) => op === "outer")
      .map(({ args }) => ({ left: value(args[0]!), right: value(args[1]!) }));
    return { sum: rest && output(rest), products };
  });
  const needed = new Set(topological(outputs.map(({ node }) => node)));
  for (const source of sources) if (needed.has(source.leaf) && !named.includes(source)) named.push(source);
  const params = program.params.flatMap(({ leaf }, k) => needed.has(leaf) ? [k] : []);
  return {
    program: {
      name: `${name} pullback`,
      trace,
      params: params.map((k): ParameterLeaf => program.params[k]!),
      inputs: named,
      t: program.t,
      outputs,
    },
    params,
    inputs: named.map(({ of, index }) => ({ of, index })),
    inputCotangents,
    parameterCotangents,
  };
}
