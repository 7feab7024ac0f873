import type { Node, Trace } from "./graph.ts";
import { topological } from "./graph.ts";
import { addMaybe, ELEMENTWISE, isElementwise } from "./elementwise.ts";
import { broadcast, concat, div, elementwise, matmul, matvec, matvecTransposed, mul, neg } from "./build.ts";
import { linearSolve, outer, pad, reshape, slice, sum, transpose, zeros } from "./build.ts";

/** Where `v` attains its maximum, shared between equals: the derivative of `maximum`. */
function maximumWeights(v: Node, out: Node): Node {
  const mask = elementwise("equal", [v, out]);
  return div(mask, sum(mask));
}

/** `a⁻ᵀ`, the derivative of `log det a`. */
function inverseTransposed(a: Node): Node {
  const n = a.shape[0]!;
  const identity = Float64Array.from({ length: n * n }, (_, e) => e % (n + 1) === 0 ? 1 : 0);
  return linearSolve(transpose(a), a.trace.constant(identity, [n, n]));
}

/** The tangent of one node from those of its arguments; null means zero. */
function tangentOf(node: Node, tangents: readonly (Node | null)[]): Node | null {
  const { args, attributes } = node;
  const [a, b] = args as [Node, Node];
  const [da, db] = tangents as [Node | null, Node | null];
  if (isElementwise(node.op)) {
    let total: Node | null = null;
    for (const [i, tangent] of tangents.entries()) {
      if (tangent === null) continue;
      const part = ELEMENTWISE[node.op].scale(i, tangent, args, node);
      total = part === null ? total : addMaybe(total, part);
    }
    return total === null ? null : broadcast(total, node.shape);
  }
  switch (node.op) {
    case "matvec":
    case "matvecTransposed":
    case "outer": {
      const apply = node.op === "matvec" ? matvec : node.op === "outer" ? outer : matvecTransposed;
      return addMaybe(da && apply(da, b), db && apply(a, db));
    }
    case "matmul":
      return addMaybe(da && matmul(da, b), db && matmul(a, db));
    case "transpose":
      return da && transpose(da);
    case "linearSolve": {
      // a dx = db - da x
      const change = addMaybe(db, da && neg(b.shape.length === 1 ? matvec(da, node) : matmul(da, node)));
      return change && linearSolve(a, change);
    }
    case "logDet":
      return da && sum(mul(inverseTransposed(a), da));
    case "sum":
      return da && sum(da);
    case "maximum":
      return da && sum(mul(maximumWeights(a, node), da));
    case "slice":
      return da && slice(da, attributes.start!, node.size, attributes.stride);
    case "pad":
      return da && pad(da, attributes.start!, node.size, attributes.stride);
    case "concat":
      if (tangents.every((tangent) => tangent === null)) return null;
      return concat(tangents.map((tangent, i) => tangent ?? zeros(node.trace, args[i]!.shape)));
    case "reshape":
      return da && reshape(da, node.shape);
    case "broadcast":
      return da && broadcast(da, node.shape);
    default:
      return null;
  }
}

/**
 * Forward mode: `Σ ∂output/∂leaf · tangent` for every output, null where it is provably zero. Cost: at most about three
 * times that of the outputs.
 */
export function jvp(outputs: readonly Node[], seeds: ReadonlyMap<Node, Node>): (Node | null)[] {
  const tangents = new Map<Node, Node | null>(seeds);
  for (const node of topological(outputs)) {
    if (tangents.has(node)) continue;
    tangents.set(node, tangentOf(node, node.args.map((arg) => tangents.get(arg)!)));
  }
  return outputs.map((node) => tangents.get(node)!);
}

/** What `g`, the cotangent of `node`, adds to that of its i-th argument; null means nothing. */
function cotangentOf(node: Node, i: number, g: Node): Node | null {
  const { args, attributes } = node;
  const [a, b] = args as [Node, Node];
  if (isElementwise(node.op)) {
    const part = ELEMENTWISE[node.op].scale(i, g, args, node);
    if (part === null) return null;
    return args[i]!.shape.length === 0 ? sum(broadcast(part, node.shape)) : broadcast(part, node.shape);
  }
  switch (node.op) {
    case "matvec":
      return i === 0 ? outer(g, b) : matvecTransposed(a, g);
    case "matvecTransposed":
      return i === 0 ? outer(b, g) : matvec(a, g);
    case "outer":
      return i === 0 ? matvec(g, b) : matvecTransposed(g, a);
    case "matmul":
      return i === 0 ? matmul(g, transpose(b)) : matmul(transpose(a), g);
    case "transpose":
      return transpose(g);
    case "linearSolve": {
      const change = linearSolve(transpose(a), g);
      if (i === 1) return change;
      return neg(b.shape.length === 1 ? outer(change, node) : matmul(change, transpose(node)));
    }
    case "logDet":
      return mul(g, inverseTransposed(a));
    case "sum":
      return broadcast(g, a.shape);
    case "maximum":
      return mul(maximumWeights(a, node), g);
    case "slice":
      return pad(g, attributes.start!, a.size, attributes.stride);
    case "pad":
      return slice(g, attributes.start!, a.size, attributes.stride);
    case "concat":
      return slice(g, args.slice(0, i).reduce((start, part) => start + part.size, 0), args[i]!.size);
    case "reshape":
      return reshape(g, a.shape);
    case "broadcast":
      return sum(g);
    default:
      return null;
  }
}

/**
 * Reverse mode: `Σ cotangentᵀ · ∂output/∂wrt` for every node of `wrt`, null where it is provably zero. Cost: at most
 * about four times that of the outputs, however many variables there are.
 */
export function vjp(outputs: readonly Node[], cotangents: readonly Node[], wrt: readonly Node[]): (Node | null)[] {
  const total = new Map<Node, Node | null>();
  for (const [i, output] of outputs.entries()) total.set(output, addMaybe(total.get(output) ?? null, cotangents[i]!));
  const order = topological(outputs);
  const active = new Set<Node>(wrt);
  for (const node of order) if (node.args.some((arg) => active.has(arg))) active.add(node);
  for (const node of order.reverse()) {
    const g = total.get(node) ?? null;
    if (g === null || !active.has(node)) continue;
    for (const [i, arg] of node.args.entries()) {
      // An argument may occur twice (h · h): each occurrence adds its part.
      if (active.has(arg)) total.set(arg, addMaybe(total.get(arg) ?? null, cotangentOf(node, i, g)));
    }
  }
  return wrt.map((node) => total.get(node) ?? null);
}

/** The same graph with `leaf` replaced by `value`. */
export function substitute(output: Node, leaf: Node, value: Node, trace: Trace): Node {
  const replaced = new Map<Node, Node>([[leaf, value]]);
  for (const node of topological([output])) {
    if (replaced.has(node)) continue;
    const args = node.args.map((arg) => replaced.get(arg)!);
    const same = args.every((arg, i) => arg === node.args[i]);
    replaced.set(node, same ? node : trace.node(node.op, args, node.shape, node.attributes));
  }
  return replaced.get(output)!;
}
