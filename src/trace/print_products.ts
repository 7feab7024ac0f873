import type { Node } from "./graph.ts";
import type { Dialect } from "./dialect.ts";
import { isIndexable, type Place, read } from "./places.ts";

/** Matrices of at most this many columns are multiplied row by row in one expression, the vector in local names. */
const STRAIGHT_COLUMNS = 16;

/** `outs[k][i] = Σ_j matrix[i, j] vectors[k][j]`, each element of the matrix read once. */
export function emitMatvec(
  node: Node,
  matrix: Place,
  vectors: readonly Place[],
  outs: readonly Place[],
  lines: string[],
  dialect: Dialect,
): void {
  const [rows, columns] = node.args[0]!.shape as [number, number];
  const straight = columns <= STRAIGHT_COLUMNS || !isIndexable(matrix) || !vectors.every(isIndexable);
  const entry = (i: number | string, j: number | string): string => {
    if (typeof i === "number" && typeof j === "number") return read(matrix, i * columns + j);
    return read(matrix, `${typeof i === "number" ? i * columns : `${i} * ${columns}`} + ${j}`);
  };
  const assign = (k: number, i: number | string, text: string): string => {
    const target = read(outs[k]!, i);
    return outs[k]!.kind === "locals" ? dialect.define(target, text) : `${target} = ${text};`;
  };
  const staticRows = outs.some((out) => out.kind === "locals") || !isIndexable(matrix);
  if (straight) {
    const elements = vectors.map((vector, k) => {
      if (!isIndexable(vector) || dialect.cooperative) return (j: number) => read(vector, j);
      // Read memory once, not once a row.
      const name = (j: number): string => `x${outs.length}_${node.id}_${k}_${j}`;
      for (let j = 0; j < columns; j++) lines.push(dialect.define(name(j), read(vector, j)));
      return name;
    });
    const emitRow = (i: number | string): void => {
      for (const [k, element] of elements.entries()) {
        const products = Array.from({ length: columns }, (_, j) => `${entry(i, j)} * ${element(j)}`);
        lines.push(assign(k, i, balanced(products)));
      }
    };
    if (staticRows) { for (let i = 0; i < rows; i++) emitRow(i); }
    else dialect.each(lines, "i", rows, () => emitRow("i"));
    return;
  }
  const block = dialect.rowsAtOnce(vectors.length);
  const emitRows = (first: number | string, count: number, suffix: string): void => {
    const row = (r: number): number | string =>
      typeof first === "number" ? first + r : r === 0 ? first : `(${first} + ${r})`;
    const accumulator = (r: number, k: number): string => `a${suffix}_${r}_${k}`;
    const each = (fn: (r: number, k: number) => string): void => {
      for (let k = 0; k < vectors.length; k++) for (let r = 0; r < count; r++) lines.push(fn(r, k));
    };
    each((r, k) => dialect.variable(accumulator(r, k), dialect.literal(0)!));
    const emitColumn = (j: number | string, u: number): void => {
      for (const [k, vector] of vectors.entries()) lines.push(dialect.define(`x${u}_${k}`, read(vector, j)));
      for (let r = 0; r < count; r++) {
        lines.push(dialect.define(`m${u}_${r}`, entry(row(r), j)));
        for (let k = 0; k < vectors.length; k++) lines.push(`${accumulator(r, k)} += m${u}_${r} * x${u}_${k};`);
      }
    };
    const step = dialect.columnsAtOnce;
    const even = columns - columns % step;
    dialect.repeat(lines, "j", even, () => {
      for (let u = 0; u < step; u++) emitColumn(u === 0 ? "j" : `(j + ${u})`, u);
    }, step);
    if (even < columns) {
      lines.push("{");
      for (let j = even; j < columns; j++) emitColumn(j, j - even);
      lines.push("}");
    }
    each((r, k) => assign(k, row(r), accumulator(r, k)));
  };
  if (staticRows) {
    for (let i = 0; i < rows; i += block) emitRows(i, Math.min(block, rows - i), `${node.id}_${i}`);
    return;
  }
  const whole = rows - rows % block;
  dialect.each(lines, "i", whole, () => emitRows("i", block, ""), block);
  if (whole < rows) {
    lines.push("{");
    emitRows(whole, rows - whole, "");
    lines.push("}");
  }
}

/** A sum as a balanced tree: shorter chains of dependent additions, and smaller rounding errors. */
export function balanced(terms: readonly string[]): string {
  if (terms.length <= 2) return terms.join(" + ");
  const half = Math.ceil(terms.length / 2);
  return `(${balanced(terms.slice(0, half))}) + (${balanced(terms.slice(half))})`;
}

/** `out[j] = Σ_i matrix[i, j] vector[i]`. */
export function emitMatvecTransposed(
  node: Node,
  matrix: Place,
  vector: Place,
  out: Place,
  lines: string[],
  dialect: Dialect,
): void {
  const [rows, columns] = node.args[0]!.shape as [number, number];
  const at = (i: number | string, j: number | string): string =>
    read(matrix, typeof i === "number" && typeof j === "number" ? i * columns + j : `${i} * ${columns} + ${j}`);
  if (!isIndexable(matrix) || !isIndexable(vector)) {
    const emit = (j: number | string): void => {
      const terms = Array.from({ length: rows }, (_, i) => `${at(i, j)} * ${read(vector, i)}`);
      lines.push(`${read(out, j)} = ${balanced(terms)};`);
    };
    if (!isIndexable(matrix)) { for (let j = 0; j < columns; j++) emit(j); }
    else dialect.each(lines, "j", columns, () => emit("j"));
    return;
  }
  if (dialect.cooperative) {
    dialect.each(lines, "j", columns, () => {
      lines.push(dialect.variable("total", dialect.literal(0)!));
      dialect.repeat(lines, "k", rows, () => lines.push(`total += ${at("k", "j")} * ${read(vector, "k")};`));
      lines.push(`${read(out, "j")} = total;`);
    });
    return;
  }
  // Row by row, so that the matrix is read in order.
  dialect.each(lines, "j", columns, () => lines.push(`${read(out, "j")} = ${dialect.literal(0)};`));
  dialect.repeat(lines, "k", rows, () => {
    lines.push(dialect.define("x0", read(vector, "k")));
    dialect.each(lines, "j", columns, () => lines.push(`${read(out, "j")} += ${at("k", "j")} * x0;`));
  });
}
