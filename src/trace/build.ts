import type { Shape } from "../core/types.ts";
import { sameShape, sizeOf } from "../core/shape.ts";
import type { ElementwiseOp, Node, Trace } from "./graph.ts";
import { simplifyElementwise, simplifySlice } from "./simplify.ts";

// Nodes from nodes whose shapes are known to fit: for derivatives and for ops.ts, which checks what users wrote.

/** The common shape of elementwise operands: all equal, but for those with a single element. */
export function broadcastShape(args: readonly Node[]): Shape | undefined {
  let shape: Shape = [];
  for (const arg of args) {
    // Of single elements the one with more axes decides.
    const wider = sizeOf(shape) === 1 && (arg.size !== 1 || arg.shape.length > shape.length);
    if (wider) shape = arg.shape;
    else if (arg.size !== 1 && !sameShape(shape, arg.shape)) return undefined;
  }
  return shape;
}

export function elementwise(op: ElementwiseOp, args: readonly Node[]): Node {
  const trace = args[0]!.trace;
  const shape = broadcastShape(args)!;
  // Operands are either of the full shape or scalars: one case fewer for everything that follows.
  const aligned = args.map((arg) => sameShape(arg.shape, shape) ? arg : reshape(arg, []));
  return simplifyElementwise(op, aligned) ?? trace.node(op, aligned, shape);
}

export function add(a: Node, b: Node): Node {
  return elementwise("add", [a, b]);
}

export function sub(a: Node, b: Node): Node {
  return elementwise("sub", [a, b]);
}

export function mul(a: Node, b: Node): Node {
  return elementwise("mul", [a, b]);
}

export function div(a: Node, b: Node): Node {
  return elementwise("div", [a, b]);
}

export function pow(a: Node, b: Node): Node {
  return elementwise("pow", [a, b]);
}

export function neg(a: Node): Node {
  return elementwise("neg", [a]);
}

export function where(condition: Node, a: Node, b: Node): Node {
  return elementwise("where", [condition, a, b]);
}

/** `out[i] = Σ_j matrix[i, j] vector[j]` */
export function matvec(matrix: Node, vector: Node): Node {
  return matrix.trace.node("matvec", [matrix, vector], [matrix.shape[0]!]);
}

/** `out[j] = Σ_i matrix[i, j] vector[i]` */
export function matvecTransposed(matrix: Node, vector: Node): Node {
  return matrix.trace.node("matvecTransposed", [matrix, vector], [matrix.shape[1]!]);
}

/** `out[i, j] = a[i] b[j]` */
export function outer(a: Node, b: Node): Node {
  return a.trace.node("outer", [a, b], [a.size, b.size]);
}

/** `out[i, j] = Σ_k a[i, k] b[k, j]`; where an axis is 1 it is a product with a vector. */
export function matmul(a: Node, b: Node): Node {
  const [m, inner, n] = [a.shape[0]!, a.shape[1]!, b.shape[1]!];
  if (inner === 1) return outer(reshape(a, [m]), reshape(b, [n]));
  if (n === 1) return reshape(matvec(a, reshape(b, [inner])), [m, 1]);
  if (m === 1) return reshape(matvecTransposed(b, reshape(a, [inner])), [1, n]);
  return a.trace.node("matmul", [a, b], [m, n]);
}

/** `out[i, j] = a[j, i]` */
export function transpose(a: Node): Node {
  const [m, n] = a.shape as [number, number];
  if (m === 1 || n === 1) return reshape(a, [n, m]);
  if (a.op === "transpose") return a.args[0]!;
  if (a.op === "broadcast") return broadcast(a.args[0]!, [n, m]);
  if (a.op === "outer") return outer(a.args[1]!, a.args[0]!);
  return a.trace.node("transpose", [a], [n, m]);
}

/** x of `a x = b`, b and x `[n]` or `[n, m]`; NaN where a is singular. */
export function linearSolve(a: Node, b: Node): Node {
  if (a.size > 1) return a.trace.node("linearSolve", [a, b], b.shape);
  const pivot = reshape(a, []);
  return div(b, where(pivot, pivot, a.trace.constant(NaN)));
}

/** `log det a`, NaN where a pivot of elimination is not positive. */
export function logDet(a: Node): Node {
  if (a.size > 1) return a.trace.node("logDet", [a], []);
  const pivot = reshape(a, []);
  return elementwise("log", [where(pivot, pivot, a.trace.constant(NaN))]);
}

/** The sum of all elements, a scalar. */
export function sum(a: Node): Node {
  if (a.shape.length === 0) return a;
  if (a.op === "broadcast") return mul(a.args[0]!, a.trace.constant(a.size));
  if (a.op === "pad") return sum(a.args[0]!);
  if (a.size === 1) return reshape(a, []);
  if (a.size === 0) return a.trace.constant(0);
  return a.trace.node("sum", [a], []);
}

/** The largest element, a scalar. */
export function maximum(a: Node): Node {
  return a.size === 1 ? reshape(a, []) : a.trace.node("maximum", [a], []);
}

/** Slices that were made of a node: simplification goes through elementwise code, which may join many paths. */
const slices = new WeakMap<Node, Map<string, Node>>();

/** `out[i] = a[start + i stride]`, `i < count`, of the elements of `a` in row-major order. */
export function slice(a: Node, start: number, count: number, stride = 1): Node {
  const flat = reshape(a, [a.size]);
  let known = slices.get(flat);
  if (known === undefined) slices.set(flat, known = new Map());
  const key = `${start}|${count}|${stride}`;
  let made = known.get(key);
  if (made === undefined) {
    made = simplifySlice(flat, start, count, stride) ?? flat.trace.node("slice", [flat], [count], { start, stride });
    known.set(key, made);
  }
  return made;
}

/** The transpose of `slice`: zeros of `length`, with `out[start + i stride] = a[i]`. */
export function pad(a: Node, start: number, length: number, stride = 1): Node {
  if (start === 0 && length === a.size) return a;
  return a.trace.node("pad", [a], [length], { start, stride });
}

export function concat(parts: readonly Node[]): Node {
  const [first, ...rest] = parts.filter((part) => part.size > 0);
  if (first === undefined) return parts[0]!.trace.constant([]);
  if (rest.length === 0) return reshape(first, [first.size]);
  const length = rest.reduce((total, part) => total + part.size, first.size);
  return first.trace.node("concat", [first, ...rest].map((part) => reshape(part, [part.size])), [length]);
}

export function reshape(a: Node, shape: Shape): Node {
  if (sameShape(a.shape, shape)) return a;
  if (a.op === "reshape") return reshape(a.args[0]!, shape);
  if (a.op === "broadcast") return broadcast(a.args[0]!, shape);
  return a.trace.node("reshape", [a], shape);
}

/** An array of `shape` with every element the scalar `a`. */
export function broadcast(a: Node, shape: Shape): Node {
  return sameShape(a.shape, shape) ? a : a.trace.node("broadcast", [reshape(a, [])], shape);
}

export function zeros(trace: Trace, shape: Shape): Node {
  return broadcast(trace.constant(0), shape);
}

/** `out[c, i] = body[i]` with row `c` of `seeds` in place of the leaf `seed`: Jacobian-vector products, in a loop. */
export function columns(body: Node, seed: Node, seeds: Float64Array, captured: readonly Node[]): Node {
  return body.trace.node("columns", captured, [seeds.length / seed.size, body.size], { body, seed, data: seeds });
}
