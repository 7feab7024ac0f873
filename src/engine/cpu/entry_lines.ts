import type { Node } from "../../trace/graph.ts";
import type { Term } from "../../trace/jacobian.ts";
import { isIndexable, type Place, read } from "../../trace/places.ts";
import type { TransitionEntries } from "../../trace/transition_entries.ts";

/** A number, or the text of an integer expression. */
export type Index = number | string;

export const plus = (i: Index, by: number): Index => typeof i === "number" ? i + by : by === 0 ? i : `${i} + ${by}`;
export const times = (i: Index, by: number): Index => typeof i === "number" ? i * by : by === 1 ? i : `(${i}) * ${by}`;
export const sumOf = (i: Index, j: Index): Index =>
  typeof i === "number" ? plus(j, i) : typeof j === "number" ? plus(i, j) : `${i} + ${j}`;

type DenseEntries = Extract<TransitionEntries, { kind: "terms" | "columns" }>;
type DirectTerm = Exclude<Term, { kind: "product" }>;

/** Entry (i, k) of G as one expression. */
export function entryText(
  entries: DenseEntries,
  places: ReadonlyMap<Node, Place>,
  state: number,
  i: number,
  k: number,
): string {
  const at = (node: Node, index: Index): string => read(places.get(node)!, index);
  if (entries.kind === "columns") return at(entries.transposed, k * state + i);
  const parts = entries.terms.filter((term) => {
    const [rows, columns] = extents(term);
    const [a, b] = [i - term.row, k - term.column];
    return a >= 0 && b >= 0 && a < rows && b < columns && (term.kind !== "diagonal" || a === b);
  });
  return parts.map((term) => termText(term, at, i - term.row, k - term.column)).join(" + ") || "0";
}

/** Statements that write all entries, row by row, to `W` from word `first` on. */
export function fillEntries(
  entries: DenseEntries,
  places: ReadonlyMap<Node, Place>,
  state: number,
  first: number,
): string[] {
  const at = (node: Node, index: Index): string => read(places.get(node)!, index);
  const entry = (i: Index, k: Index): string => `W[${plus(sumOf(times(i, state), k), first)}]`;
  if (entries.kind === "columns") {
    return [
      `for (let i = 0; i < ${state}; i++) {`,
      `for (let k = 0; k < ${state}; k++) ${entry("i", "k")} = ${
        at(entries.transposed, sumOf(times("k", state), "i"))
      };`,
      "}",
    ];
  }
  const add = (term: DirectTerm, a: Index, b: Index): string =>
    `${entry(plus(a, term.row), plus(b, term.column))} += ${termText(term, at, a, b)};`;
  return [
    `W.fill(0, ${first}, ${first + state * state});`,
    ...entries.terms.flatMap((term) => {
      const [rows, columns] = extents(term);
      const nodes = term.kind === "diagonal" ? [term.values] : [term.left, term.right];
      // Short values are names, which no loop can index.
      const unroll = nodes.some((node) => !isIndexable(places.get(node)!));
      if (term.kind === "diagonal") return along(rows, "i", unroll, (a) => [add(term, a, a)]);
      return along(rows, "i", unroll, (a) => along(columns, "k", unroll, (b) => [add(term, a, b)]));
    }),
  ];
}

function along(count: number, index: string, unroll: boolean, emit: (i: Index) => string[]): string[] {
  if (unroll) return Array.from({ length: count }, (_, i) => emit(i)).flat();
  return [`for (let ${index} = 0; ${index} < ${count}; ${index}++) {`, ...emit(index), "}"];
}

const extents = (term: DirectTerm): [rows: number, columns: number] =>
  term.kind === "diagonal" ? [term.values.size, term.values.size] : [term.left.size, term.right.size];

/** Entry (a, b) of a term, counted from its own first. */
function termText(term: DirectTerm, at: (node: Node, index: Index) => string, a: Index, b: Index): string {
  if (term.kind === "diagonal") return at(term.values, a);
  if (term.kind === "outer") return `${at(term.left, a)} * ${at(term.right, b)}`;
  const { matrix, start, down, right } = term.view;
  const entry = at(matrix, plus(sumOf(times(a, down), times(b, right)), start));
  return `${at(term.left, a)} * ${entry} * ${at(term.right, b)}`;
}
