import type { Node } from "./graph.ts";
import { isIndexable, type Place, read } from "./print_js.ts";

/** Matrices of at most this many columns are multiplied row by row in one expression, the vector in local variables. */
const STRAIGHT_COLUMNS = 16;

/** `outs[k][i] = Σ_j matrix[i, j] vectors[k][j]`, each element of the matrix read once. */
export function emitMatvec(
  node: Node,
  matrix: Place,
  vectors: readonly Place[],
  outs: readonly Place[],
  lines: string[],
): void {
  const [rows, columns] = node.shape as [number, number];
  const straight = columns <= STRAIGHT_COLUMNS || !isIndexable(matrix) || !vectors.every(isIndexable);
  const entry = (i: number | string, j: number | string): string => {
    if (typeof i === "number" && typeof j === "number") return read(matrix, i * columns + j);
    return read(matrix, `${typeof i === "number" ? i * columns : `${i} * ${columns}`} + ${j}`);
  };
  const assign = (k: number, i: number | string, text: string): string =>
    outs[k]!.kind === "locals" ? `const ${read(outs[k]!, i)} = ${text};` : `${read(outs[k]!, i)} = ${text};`;
  const staticRows = outs.some((out) => out.kind === "locals") || !isIndexable(matrix);
  if (straight) {
    const elements = vectors.map((vector, k) => {
      if (!isIndexable(vector)) return (j: number) => read(vector, j);
      // Read memory once, not once a row.
      const name = (j: number): string => `x${outs.length}_${node.id}_${lines.length}_${k}_${j}`;
      const names = Array.from({ length: columns }, (_, j) => name(j));
      lines.push(`const ${names.map((text, j) => `${text} = ${read(vector, j)}`).join(", ")};`);
      return (j: number) => names[j]!;
    });
    const emitRow = (i: number | string): void => {
      for (const [k, element] of elements.entries()) {
        const products = Array.from({ length: columns }, (_, j) => `${entry(i, j)} * ${element(j)}`);
        lines.push(assign(k, i, balanced(products)));
      }
    };
    if (staticRows) { for (let i = 0; i < rows; i++) emitRow(i); }
    else {
      lines.push(`for (let i = 0; i < ${rows}; i++) {`);
      emitRow("i");
      lines.push("}");
    }
    return;
  }
  // Several rows at once: independent accumulators hide the latency of additions, and each vector element is read once.
  const block = vectors.length === 1 ? 4 : 2;
  const emitRows = (first: number | string, count: number, suffix: string): void => {
    const row = (r: number): number | string =>
      typeof first === "number" ? first + r : r === 0 ? first : `(${first} + ${r})`;
    const accumulator = (r: number, k: number): string => `a${suffix}_${r}_${k}`;
    const each = <R>(fn: (r: number, k: number) => R): R[] =>
      Array.from({ length: count * vectors.length }, (_, e) => fn(e % count, Math.floor(e / count)));
    lines.push(`let ${each((r, k) => `${accumulator(r, k)} = 0`).join(", ")};`);
    lines.push(`for (let j = 0; j < ${columns}; j++) {`);
    lines.push(`const ${vectors.map((vector, k) => `x${k} = ${read(vector, "j")}`).join(", ")};`);
    for (let r = 0; r < count; r++) {
      lines.push(`const m${r} = ${entry(row(r), "j")};`);
      for (let k = 0; k < vectors.length; k++) lines.push(`${accumulator(r, k)} += m${r} * x${k};`);
    }
    lines.push("}");
    lines.push(...each((r, k) => assign(k, row(r), accumulator(r, k))));
  };
  const whole = rows - rows % block;
  if (staticRows) {
    for (let i = 0; i < rows; i += block) emitRows(i, Math.min(block, rows - i), `${node.id}_${i}_${lines.length}`);
    return;
  }
  lines.push(`for (let i = 0; i < ${whole}; i += ${block}) {`);
  emitRows("i", block, "");
  lines.push("}");
  if (whole < rows) {
    lines.push("{");
    emitRows(whole, rows - whole, "");
    lines.push("}");
  }
}

/** A sum as a balanced tree: shorter chains of dependent additions, and smaller rounding errors. */
function balanced(terms: readonly string[]): string {
  if (terms.length <= 2) return terms.join(" + ");
  const half = Math.ceil(terms.length / 2);
  return `(${balanced(terms.slice(0, half))}) + (${balanced(terms.slice(half))})`;
}

/** `out[j] = Σ_i matrix[i, j] vector[i]`. */
export function emitMatvecTransposed(node: Node, matrix: Place, vector: Place, out: Place, lines: string[]): void {
  const [rows, columns] = node.args[0]!.shape as [number, number];
  const at = (i: number | string, j: number | string): string =>
    read(matrix, typeof i === "number" && typeof j === "number" ? i * columns + j : `${i} * ${columns} + ${j}`);
  if (!isIndexable(matrix) || !isIndexable(vector)) {
    const emit = (j: number | string): void => {
      const terms = Array.from({ length: rows }, (_, i) => `${at(i, j)} * ${read(vector, i)}`);
      lines.push(`${read(out, j)} = ${balanced(terms)};`);
    };
    if (!isIndexable(matrix)) { for (let j = 0; j < columns; j++) emit(j); }
    else {
      lines.push(`for (let j = 0; j < ${columns}; j++) {`);
      emit("j");
      lines.push("}");
    }
    return;
  }
  // Row by row, so that the matrix is read in order.
  lines.push(`for (let j = 0; j < ${columns}; j++) ${read(out, "j")} = 0;`);
  lines.push(`for (let i = 0; i < ${rows}; i++) {`);
  lines.push(`const x0 = ${read(vector, "i")};`);
  lines.push(`for (let j = 0; j < ${columns}; j++) ${read(out, "j")} += ${at("i", "j")} * x0;`);
  lines.push("}");
}
