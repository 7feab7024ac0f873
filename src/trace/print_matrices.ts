import type { Node } from "./graph.ts";
import type { Dialect } from "./dialect.ts";
import { isIndexable, type Place, read } from "./places.ts";
import { emitCopy } from "./print_blocks.ts";
import { logDetStraight } from "./print_log_det.ts";
import { balanced } from "./print_products.ts";
import { solveStraight } from "./print_solve.ts";

/** Sums of at most this many products stand in one expression. */
const STRAIGHT_TERMS = 16;

/** A product, a transpose, a solution or a determinant whose arrays all have local names. */
export function emitSmallMatrix(node: Node, args: readonly string[][], lines: string[], dialect: Dialect): Place {
  const [a, b = []] = args as [string[], string[]?];
  const [rows, columns = 1] = node.shape as [number, number?];
  const at = (matrix: readonly string[], width: number, i: number, j: number): string => matrix[i * width + j]!;
  const entries = (emit: (i: number, j: number) => string): string[] =>
    Array.from({ length: node.size }, (_, e) => emit(Math.floor(e / columns), e % columns));
  if (node.op === "transpose") return { kind: "locals", texts: entries((i, j) => at(a, rows, j, i)) };
  if (node.op === "linearSolve") return { kind: "locals", texts: solveStraight(node, a, b, lines, dialect) };
  if (node.op === "logDet") return logDetStraight(node, a, lines, dialect);
  const inner = node.args[0]!.shape[1]!;
  const texts = entries((i, j) =>
    Array.from({ length: inner }, (_, k) => `${at(a, inner, i, k)} * ${at(b, columns, k, j)}`).join(" + ")
  );
  const names = texts.map((_, e) => `v${node.id}_${e}`);
  lines.push(texts.map((text, e) => dialect.define(names[e]!, text)).join(" "));
  return { kind: "locals", texts: names };
}

/** Every entry of a matrix: one loop for lanes that share it, two for one thread. */
function eachEntry(
  rows: number,
  columns: number,
  lines: string[],
  dialect: Dialect,
  emit: (i: string, j: string) => void,
): void {
  if (dialect.cooperative) dialect.each(lines, "i", rows * columns, () => emit(`(i / ${columns})`, `(i % ${columns})`));
  else dialect.each(lines, "i", rows, () => dialect.each(lines, "j", columns, () => emit("i", "j")));
}

/** Where elements can be read by an index known only at run time: short values move from names to scratch. */
function indexed(place: Place, size: number, lines: string[], dialect: Dialect): Place {
  if (isIndexable(place)) return place;
  const copy = dialect.scratch(size);
  emitCopy(place, size, copy, lines, dialect);
  return copy;
}

/** `out[i, j] = Σ_k a[i, k] b[k, j]` */
export function emitMatmul(node: Node, a: Place, b: Place, out: Place, lines: string[], dialect: Dialect): void {
  const [m, n] = node.shape as [number, number];
  const inner = node.args[0]!.shape[1]!;
  const [left, right] = [indexed(a, m * inner, lines, dialect), indexed(b, inner * n, lines, dialect)];
  const term = (i: string, j: string, k: number | string): string => {
    const row = typeof k === "number" ? `${k * n}` : `${k} * ${n}`;
    return `${read(left, `${i} * ${inner} + ${k}`)} * ${read(right, `${row} + ${j}`)}`;
  };
  eachEntry(m, n, lines, dialect, (i, j) => {
    const target = read(out, `${i} * ${n} + ${j}`);
    if (inner <= STRAIGHT_TERMS) {
      return void lines.push(`${target} = ${balanced(Array.from({ length: inner }, (_, k) => term(i, j, k)))};`);
    }
    const step = dialect.columnsAtOnce;
    const even = inner - inner % step;
    const some = (count: number, k: (u: number) => number | string): string =>
      balanced(Array.from({ length: count }, (_, u) => term(i, j, k(u))));
    lines.push(dialect.variable("total", dialect.literal(0)!));
    dialect.repeat(lines, "k", even, () => {
      lines.push(`total += ${some(step, (u) => u === 0 ? "k" : `(k + ${u})`)};`);
    }, step);
    lines.push(`${target} = total${even < inner ? ` + (${some(inner - even, (u) => even + u)})` : ""};`);
  });
}

/** `out[i, j] = a[j, i]` */
export function emitTranspose(node: Node, a: Place, out: Place, lines: string[], dialect: Dialect): void {
  const [m, n] = node.shape as [number, number];
  const from = indexed(a, node.size, lines, dialect);
  eachEntry(m, n, lines, dialect, (i, j) => {
    lines.push(`${read(out, `${i} * ${n} + ${j}`)} = ${read(from, `${j} * ${m} + ${i}`)};`);
  });
}
