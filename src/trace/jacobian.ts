import type { Node } from "./graph.ts";
import { topological } from "./graph.ts";
import { addMaybe, ELEMENTWISE, isElementwise } from "./elementwise.ts";
import { broadcast, matvec, matvecTransposed, mul, pad, reshape, slice } from "./build.ts";
import { vjp } from "./differentiate.ts";

/** Entries `flat[start + i down + j right]` of a matrix that is free of h. */
export interface MatrixView {
  readonly matrix: Node;
  readonly start: number;
  readonly down: number;
  readonly right: number;
}

/** Part of a Jacobian `[n, D]`, placed with its first entry at (`row`, `column`). */
export type Term =
  /** Entries (i, i) are `values[i]`. */
  | { readonly kind: "diagonal"; readonly row: number; readonly column: number; readonly values: Node }
  /** Entries (i, j) are `left[i] · M[i, j] · right[j]`. */
  | {
    readonly kind: "matrix";
    readonly row: number;
    readonly column: number;
    readonly left: Node;
    readonly view: MatrixView;
    readonly right: Node;
  }
  /** Entries (i, j) are `left[i] · Σ_k A[i, k] middle[k] B[k, j] · right[j]`: two layers. */
  | {
    readonly kind: "product";
    readonly row: number;
    readonly column: number;
    readonly left: Node;
    readonly view: MatrixView;
    readonly middle: Node;
    readonly second: MatrixView;
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

/** A view of a whole matrix, or of its transpose. */
function viewOf(matrix: Node, transposed: boolean): MatrixView {
  const columns = matrix.shape[1]!;
  return transposed ? { matrix, start: 0, down: 1, right: columns } : { matrix, start: 0, down: columns, right: 1 };
}

/** The view from an entry on. */
export const moved = (view: MatrixView, rows: number, columns: number): MatrixView => ({
  ...view,
  start: view.start + rows * view.down + columns * view.right,
});

const sameView = (a: MatrixView, b: MatrixView): boolean =>
  a.matrix === b.matrix && a.start === b.start && a.down === b.down && a.right === b.right;

/** How many rows a term has. */
export const rowsOf = (term: Term): number => (term.kind === "diagonal" ? term.values : term.left).size;

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
    case "product":
      return { ...term, row, view: moved(term.view, skip, 0), left: slice(term.left, skip, to - from) };
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
  if (a.kind === "matrix" && b.kind === "matrix") return sameView(a.view, b.view);
  if (a.kind !== "product" || b.kind !== "product") return a.kind === b.kind;
  return a.middle === b.middle && sameView(a.view, b.view) && sameView(a.second, b.second);
}

function addTerms(a: Term, b: Term): Term {
  if (a.kind === "diagonal" && b.kind === "diagonal") return { ...a, values: addMaybe(a.values, b.values)! };
  if (a.kind !== "diagonal" && b.kind !== "diagonal") return { ...a, left: addMaybe(a.left, b.left)! };
  return a;
}

/**
 * `∂output/∂variable` as a sum of terms, or null where that is not exact: three dense products in a row, for instance.
 * The diagonal then costs O(D), with two products in a row O(D²), where columns by forward mode cost a whole step each.
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

  /** A term with a single row, which is what scalars have, as an outer product. */
  function outerOf(term: Term): Term & { kind: "outer" } {
    if (term.kind !== "outer") throw new Error("the Jacobian of a scalar is an outer product");
    return term;
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
    const view = viewOf(matrix, node.op === "matvecTransposed");
    const left = ones(node.size);
    const all: Term[] = [];
    for (const term of terms) {
      // The columns of the matrix that meet the rows of the term.
      const part = moved(view, 0, term.row);
      if (term.kind === "product") return null;
      if (term.kind === "outer") {
        const inner = pad(term.left, term.row, vector.size);
        const apply = node.op === "matvec" ? matvec : matvecTransposed;
        all.push({ ...term, row: 0, left: apply(matrix, inner) });
      } else if (term.kind === "diagonal") {
        all.push({ kind: "matrix", row: 0, column: term.column, left, view: part, right: term.values });
      } else {
        const { column, left: middle, view: second, right } = term;
        all.push({ kind: "product", row: 0, column, left, view: part, middle, second, right });
      }
    }
    return merge(all);
  }
}
