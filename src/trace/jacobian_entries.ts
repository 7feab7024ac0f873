import { broadcast, concat, matvecTransposed, mul, pad, reshape, slice } from "./build.ts";
import { addMaybe } from "./elementwise.ts";
import type { Node } from "./graph.ts";
import { type MatrixView, moved, rowsOf, type Term } from "./jacobian.ts";

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
  const pieces: Piece[] = [];
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
        const { matrix, start, down, right } = moved(term.view, i, j);
        values = mul(values, slice(matrix, start, length, step * (down + right)));
      } else if (term.kind === "product") {
        values = mul(
          values,
          productEntries(moved(term.view, i, 0), term.middle, moved(term.second, 0, j), step, length),
        );
      }
    }
    const same = pieces.findIndex((piece) => piece.from === from && piece.values.size === length);
    if (same < 0) pieces.push({ from, values });
    else pieces[same] = { from, values: addMaybe(pieces[same]!.values, values)! };
  }
  return joinPieces(pieces, count);
}

/** Elements `from` to `from + values.size` of a vector. */
interface Piece {
  readonly from: number;
  readonly values: Node;
}

/** A vector of `count` from its pieces, zero elsewhere; null if there are none. Those that do not overlap are put side by side. */
function joinPieces(pieces: readonly Piece[], count: number): Node | null {
  const sorted = pieces.toSorted((a, b) => a.from - b.from);
  const overlap = sorted.some(({ from }, k) => k > 0 && sorted[k - 1]!.from + sorted[k - 1]!.values.size > from);
  if (pieces.length < 2 || overlap) {
    return pieces.reduce<Node | null>((total, { from, values }) => addMaybe(total, pad(values, from, count)), null);
  }
  const parts: Node[] = [];
  let end = 0;
  const zero = sorted[0]!.values.trace.constant(0);
  const fill = (to: number): void => {
    if (to > end) parts.push(broadcast(zero, [to - end]));
  };
  for (const { from, values } of sorted) {
    fill(from);
    parts.push(values);
    end = from + values.size;
  }
  fill(count);
  return concat(parts);
}

/**
 * `Σ_k A[u step, k] middle[k] B[k, u step]`: the products A ∘ Bᵀ are free of h, computed once per solve, so that the
 * diagonal of two layers costs no more than one of them.
 */
function productEntries(a: MatrixView, middle: Node, b: MatrixView, step: number, count: number): Node {
  const rows = Array.from({ length: middle.size }, (_, k) => {
    const [first, second] = [moved(a, 0, k), moved(b, k, 0)];
    const left = slice(first.matrix, first.start, count, step * first.down);
    return mul(left, slice(second.matrix, second.start, count, step * second.right));
  });
  return matvecTransposed(reshape(concat(rows), [middle.size, count]), middle);
}
