import type { Node, Op } from "./graph.ts";
import { topological } from "./graph.ts";
import { ELEMENTWISE, isElementwise } from "./elementwise.ts";

/** Where a Jacobian `[D, D]` may be non-zero; blocks are `block × block`. */
export type Structure =
  | { readonly kind: "zero" | "diagonal" | "dense" }
  | { readonly kind: "block"; readonly block: number; readonly layout: BlockLayout };

/**
 * Which states share a block: `contiguous` (u k .. u k + k - 1: heads side by side) or `strided` (u, u + D/k, ...: the
 * halves [h, c] of an LSTM).
 */
export type BlockLayout = "contiguous" | "strided";

/** Rows of bits: row i holds the elements of the variable on which element i depends. One row may stand for all. */
interface Dependence {
  readonly uniform: boolean;
  readonly bits: Uint32Array;
}

/** Above this many words per node, all its elements share one row of bits: still sound, less sharp. */
const MAX_WORDS = 1 << 22;

/** Operations of which every element may depend on every element of every argument. */
const MIXING: ReadonlySet<Op> = new Set<Op>([
  ...["matvec", "matvecTransposed", "outer", "matmul", "linearSolve", "logDet", "sum", "maximum", "columns"] as const,
]);

/** The place in its argument of element `i` of a transpose. */
function transposed({ shape }: Node, i: number): number {
  const [rows, columns] = shape as [number, number];
  return (i % columns) * rows + Math.floor(i / columns);
}

/**
 * Proves where `∂output/∂variable` can be non-zero, element by element, by following the graph. With `direct` only
 * paths that are elementwise are followed (no products, no reductions): those tie the states of one unit together.
 */
export function provePattern(output: Node, variable: Node, direct = false): Structure {
  const size = variable.size;
  const words = Math.ceil(size / 32);
  const known = new Map<Node, Dependence | null>();
  const row = (d: Dependence, i: number): number => (d.uniform ? 0 : i * words);
  const create = (length: number): Dependence =>
    length * words > MAX_WORDS || length === 1
      ? { uniform: true, bits: new Uint32Array(words) }
      : { uniform: false, bits: new Uint32Array(length * words) };
  const join = (to: Dependence, i: number, from: Dependence, j: number): void => {
    const [a, b] = [row(to, i), row(from, j)];
    for (let w = 0; w < words; w++) to.bits[a + w]! |= from.bits[b + w]!;
  };
  for (const node of topological([output])) {
    if (node === variable) {
      const own = create(size);
      for (let i = 0; i < size; i++) own.bits[row(own, i) + (i >>> 5)]! |= 1 << (i & 31);
      known.set(node, own);
      continue;
    }
    const args = node.args.map((arg, i) => {
      const dead = isElementwise(node.op) &&
        ELEMENTWISE[node.op].scale(i, node.trace.constant(1), node.args, node) === null;
      return dead ? null : known.get(arg)!;
    });
    const mixing = MIXING.has(node.op);
    if (args.every((arg) => arg === null) || (direct && mixing)) {
      known.set(node, null);
      continue;
    }
    const result = create(node.size);
    const { start = 0, stride = 1 } = node.attributes;
    let offset = 0;
    for (const [k, arg] of args.entries()) {
      const length = node.args[k]!.size;
      if (arg !== null && (mixing || length === 1 && isElementwise(node.op))) {
        const all = create(1);
        for (let j = 0; j < (arg.uniform ? 1 : length); j++) join(all, 0, arg, j);
        for (let i = 0; i < (result.uniform ? 1 : node.size); i++) join(result, i, all, 0);
      } else if (arg !== null) {
        // Two rows that stand for all elements meet once.
        const count = result.uniform && arg.uniform ? Math.min(1, node.size) : node.size;
        for (let i = 0; i < count; i++) {
          if (node.op === "slice") join(result, i, arg, start + i * stride);
          else if (node.op === "concat" && i < length) join(result, offset + i, arg, i);
          else if (node.op === "pad" && i < length) join(result, start + i * stride, arg, i);
          else if (node.op === "broadcast") join(result, i, arg, 0);
          else if (node.op === "transpose") join(result, i, arg, transposed(node, i));
          else if (isElementwise(node.op) || node.op === "reshape") join(result, i, arg, i);
        }
      }
      if (node.op === "concat") offset += length;
    }
    known.set(node, result);
  }
  const final = known.get(output) ?? null;
  if (final === null) return { kind: "zero" };
  if (final.uniform && size > 1) return { kind: final.bits.some((word) => word !== 0) ? "dense" : "zero" };
  return classify(size, (i, j) => {
    return (final.bits[row(final, i) + (j >>> 5)]! >>> (j & 31) & 1) === 1;
  });
}

/** The sharpest structure that covers every non-zero entry. */
function classify(size: number, depends: (i: number, j: number) => boolean): Structure {
  // Most candidates are refuted by the first entries.
  const covers = (may: (i: number, j: number) => boolean): boolean => {
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) if (depends(i, j) && !may(i, j)) return false;
    }
    return true;
  };
  if (covers(() => false)) return { kind: "zero" };
  if (covers((i, j) => i === j)) return { kind: "diagonal" };
  for (let block = 2; block < size; block++) {
    if (size % block !== 0) continue;
    const units = size / block;
    if (covers((i, j) => i % units === j % units)) return { kind: "block", block, layout: "strided" };
    if (covers((i, j) => Math.floor(i / block) === Math.floor(j / block))) {
      return { kind: "block", block, layout: "contiguous" };
    }
  }
  return { kind: "dense" };
}
