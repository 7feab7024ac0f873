import type { Node } from "./graph.ts";
import { topological } from "./graph.ts";
import { addMaybe, ELEMENTWISE, isElementwise } from "./elementwise.ts";
import { broadcast, matvec, matvecTransposed, mul, pad, reshape, slice } from "./build.ts";
import { vjp } from "./differentiate.ts";

/** Part of a Jacobian `[n, D]`, placed with its first entry at (`row`, `column`). */
export type Term =
  /** Entries (i, i) are `values[i]`. */
  | { readonly kind: "diagonal"; readonly row: number; readonly column: number; readonly values: Node }
  /** Entries (i, j) are `left[i] · M[i, j] · right[j]`, M rows `first` to `first + rows` of a matrix free of h. */
  | {
    readonly kind: "matrix";
    readonly row: number;
    readonly column: number;
    readonly matrix: Node;
    readonly transposed: boolean;
    readonly first: number;
    readonly left: Node;
    readonly right: Node;
  }
  /** Entries (i, j) are `left[i] · right[j]`. */
  | {
    readonly kind: "outer";
    readonly row: number;
    readonly column: number;
    readonly left: Node;
    readonly right: Node;
  };

const rowsOf = (term: Term): number => (term.kind === "diagonal" ? term.values : term.left).size;

/** `diag(scale) · term`; `scale` is a scalar or has one element per row of the whole Jacobian. */
function scaleRows(term: Term, scale: Node): Term {
  const part = scale.shape.length === 0 ? scale : slice(scale, term.row, rowsOf(term));
  return term.kind === "diagonal"
    ? { ...term, values: mul(part, term.values) }
    : { ...term, left: mul(part, term.left) };
}

/** Rows `start` to `start + count` of a term, or null if it has none there. */
function takeRows(term: Term, start: number, count: number): Term | null {
  const from = Math.max(start, term.row);
  const to = Math.min(start + count, term.row + rowsOf(term));
  if (from >= to) return null;
  const skip = from - term.row;
  const row = from - start;
  switch (term.kind) {
    case "diagonal":
      return { ...term, row, column: term.column + skip, values: slice(term.values, skip, to - from) };
    case "matrix":
      return { ...term, row, first: term.first + skip, left: slice(term.left, skip, to - from) };
    case "outer":
      return { ...term, row, left: slice(term.left, skip, to - from) };
  }
}

/** Sums terms of equal place: the gates of a cell share their product, and one diagonal remains. */
function merge(terms: readonly Term[]): Term[] {
  const merged: Term[] = [];
  for (const term of terms) {
    const twin = merged.findIndex((other) =>
      other.kind === term.kind && other.row === term.row && other.column === term.column &&
      rowsOf(other) === rowsOf(term) && canAdd(other, term)
    );
    if (twin < 0) merged.push(term);
    else merged[twin] = addTerms(merged[twin]!, term);
  }
  return merged;
}

function canAdd(a: Term, b: Term): boolean {
  if (a.kind === "diagonal" || b.kind === "diagonal") return a.kind === b.kind;
  if (a.right !== b.right) return false;
  if (a.kind === "outer" || b.kind === "outer") return true;
  return a.matrix === b.matrix && a.first === b.first && a.transposed === b.transposed;
}

function addTerms(a: Term, b: Term): Term {
  if (a.kind === "diagonal" && b.kind === "diagonal") return { ...a, values: addMaybe(a.values, b.values)! };
  if (a.kind !== "diagonal" && b.kind !== "diagonal") return { ...a, left: addMaybe(a.left, b.left)! };
  return a;
}

/**
 * `∂output/∂variable` as a sum of terms, or null where that is not exact: two dense products in a row, for instance. Its
 * entries then cost O(1) each, its diagonal O(D), where columns by forward mode cost a whole step each.
 */
export function structuredJacobian(output: Node, variable: Node): Term[] | null {
  const known = new Map<Node, Term[] | null>();
  const one = output.trace.constant(1);
  const ones = (count: number): Node => broadcast(one, [count]);
  for (const node of topological([output])) known.set(node, termsOf(node));
  return known.get(output)!;

  function termsOf(node: Node): Term[] | null {
    if (node === variable) return [{ kind: "diagonal", row: 0, column: 0, values: ones(node.size) }];
    const args = node.args.map((arg) => known.get(arg)!);
    if (args.every((terms) => terms?.length === 0)) return [];
    if (node.shape.length === 0) {
      const [gradient] = vjp([node], [one], [variable]);
      if (!gradient) return [];
      return [{ kind: "outer", row: 0, column: 0, left: ones(1), right: reshape(gradient, [variable.size]) }];
    }
    if (node.shape.length === 2) return null;
    if (isElementwise(node.op)) return elementwiseTerms(node, args);
    const [a, b] = node.args as [Node, Node];
    const inner = args[0]!;
    const { start = 0, stride = 1 } = node.attributes;
    switch (node.op) {
      case "matvec":
      case "matvecTransposed":
        return args[0]?.length === 0 ? productTerms(node, a, b, args[1] ?? null) : null;
      case "slice":
        if (inner === null || stride !== 1) return null;
        return inner.map((term) => takeRows(term, start, node.size)).filter((term) => term !== null);
      case "pad":
        return inner === null || stride !== 1 ? null : inner.map((term) => ({ ...term, row: term.row + start }));
      case "reshape":
        return inner;
      case "broadcast":
        return inner?.map((term): Term => ({ ...outerOf(term), left: ones(node.size) })) ?? null;
      case "concat": {
        const all: Term[] = [];
        let offset = 0;
        for (const [i, terms] of args.entries()) {
          if (terms === null) return null;
          const shift = offset;
          all.push(...terms.map((term) => ({ ...term, row: term.row + shift })));
          offset += node.args[i]!.size;
        }
        return all;
      }
      default:
        return null;
    }
  }

  /** A term with a single row as an outer product: the Jacobian of a scalar. */
  function outerOf(term: Term): Term & { kind: "outer" } {
    if (term.kind === "outer") return term;
    const [column, right] = term.kind === "diagonal"
      ? [term.column, term.values]
      : [term.column, mul(matrixRow(term, 0), mul(term.left, term.right))];
    return { kind: "outer", row: term.row, column, left: ones(1), right };
  }

  function elementwiseTerms(node: Node, args: readonly (Term[] | null)[]): Term[] | null {
    if (!isElementwise(node.op)) return null;
    const all: Term[] = [];
    for (const [i, terms] of args.entries()) {
      if (terms?.length === 0) continue;
      const scale = ELEMENTWISE[node.op].scale(i, one, node.args, node);
      if (scale === null) continue;
      if (terms === null || terms === undefined) return null;
      const scalar = node.args[i]!.shape.length === 0;
      for (const term of terms) {
        all.push(scaleRows(scalar ? { ...outerOf(term), left: ones(node.size) } : term, scale));
      }
    }
    return merge(all);
  }

  function productTerms(node: Node, matrix: Node, vector: Node, terms: Term[] | null): Term[] | null {
    if (terms === null) return null;
    const transposed = node.op === "matvecTransposed";
    const all: Term[] = [];
    for (const term of terms) {
      if (term.kind === "matrix") return null;
      if (term.kind === "outer") {
        const left = pad(term.left, term.row, vector.size);
        all.push({ ...term, row: 0, left: transposed ? matvecTransposed(matrix, left) : matvec(matrix, left) });
      } else if (term.row === 0 && term.values.size === vector.size) {
        const place = { kind: "matrix", row: 0, column: term.column, matrix, transposed, first: 0 } as const;
        all.push({ ...place, left: ones(node.size), right: term.values });
      } else {
        return null;
      }
    }
    return merge(all);
  }
}

/** Row `i` of a matrix term's M, as a vector. */
function matrixRow(term: Term & { kind: "matrix" }, i: number): Node {
  const [rows, columns] = term.matrix.shape as [number, number];
  return term.transposed
    ? slice(term.matrix, term.first + i, rows, columns)
    : slice(term.matrix, (term.first + i) * columns, columns);
}

/**
 * The entries `(row + u step, column + u step)`, `u < count`, of a structured Jacobian: its diagonal, or one plane of its
 * blocks. Null means that all are zero. Cost: O(count) per term.
 */
export function entriesAlong(
  terms: readonly Term[],
  row: number,
  column: number,
  step: number,
  count: number,
): Node | null {
  let total: Node | null = null;
  for (const term of terms) {
    const width = term.kind === "diagonal" ? term.values.size : term.right.size;
    const inside = (u: number): boolean => {
      const [i, j] = [row + u * step - term.row, column + u * step - term.column];
      return i >= 0 && j >= 0 && i < rowsOf(term) && j < width && (term.kind !== "diagonal" || i === j);
    };
    let from = 0;
    while (from < count && !inside(from)) from++;
    let to = from;
    while (to < count && inside(to)) to++;
    if (from === to) continue;
    const [i, j] = [row + from * step - term.row, column + from * step - term.column];
    const length = to - from;
    let values: Node;
    if (term.kind === "diagonal") values = slice(term.values, i, length, step);
    else {
      values = mul(slice(term.left, i, length, step), slice(term.right, j, length, step));
      if (term.kind === "matrix") {
        const columns = term.matrix.shape[1]!;
        const at = term.transposed ? j * columns + term.first + i : (term.first + i) * columns + j;
        values = mul(values, slice(term.matrix, at, length, step * (columns + 1)));
      }
    }
    total = addMaybe(total, pad(values, from, count));
  }
  return total;
}
