import type { Node } from "./graph.ts";
import type { Dialect } from "./dialect.ts";
import { isIndexable, type Place, read } from "./places.ts";
import { emitCopy } from "./print_blocks.ts";
import { balanced } from "./print_products.ts";

/** Sums of at most this many products stand in one expression. */
const STRAIGHT_TERMS = 16;

/** A product, a transpose or a solution whose arrays all have local names. */
export function emitSmallMatrix(node: Node, args: readonly string[][], lines: string[], dialect: Dialect): Place {
  const [a, b = []] = args as [string[], string[]?];
  const [rows, columns = 1] = node.shape as [number, number?];
  const at = (matrix: readonly string[], width: number, i: number, j: number): string => matrix[i * width + j]!;
  const entries = (emit: (i: number, j: number) => string): string[] =>
    Array.from({ length: node.size }, (_, e) => emit(Math.floor(e / columns), e % columns));
  if (node.op === "transpose") return { kind: "locals", texts: entries((i, j) => at(a, rows, j, i)) };
  if (node.op === "solve") return { kind: "locals", texts: solveStraight(node, a, b, lines, dialect) };
  const inner = node.args[0]!.shape[1]!;
  const texts = entries((i, j) =>
    Array.from({ length: inner }, (_, k) => `${at(a, inner, i, k)} * ${at(b, columns, k, j)}`).join(" + ")
  );
  const names = texts.map((_, e) => `v${node.id}_${e}`);
  lines.push(texts.map((text, e) => dialect.define(names[e]!, text)).join(" "));
  return { kind: "locals", texts: names };
}

/** Elimination without loops: rows are exchanged by choices, the largest entry of a column comes up. */
function solveStraight(node: Node, a: readonly string[], b: readonly string[], lines: string[], d: Dialect): string[] {
  const n = node.shape[0]!;
  const width = node.size / n;
  const all = Array.from({ length: n }, (_, i) => i);
  const rows = all.map((i) => [...a.slice(i * n, (i + 1) * n), ...b.slice(i * width, (i + 1) * width)]);
  let count = 0;
  const name = (text: string): string => {
    lines.push(d.define(`v${node.id}_${count}`, text));
    return `v${node.id}_${count++}`;
  };
  const pivots = all.map((k) => {
    for (let r = k + 1; r < n; r++) {
      const [upper, lower] = [rows[k]!, rows[r]!];
      const size = (row: readonly string[]): string => d.element("abs", [row[k]!]);
      const exchanged = name(d.element("less", [size(upper), size(lower)]));
      const choose = (first: readonly string[], second: readonly string[]): string[] =>
        first.map((text, c) => c < k ? text : name(d.element("where", [exchanged, second[c]!, text])));
      [rows[k], rows[r]] = [choose(upper, lower), choose(lower, upper)];
    }
    const pivot = name(orNaN(rows[k]![k]!, d));
    for (let r = k + 1; r < n; r++) {
      const factor = name(`${rows[r]![k]} / ${pivot}`);
      rows[r] = rows[r]!.map((text, c) => c <= k ? text : name(`${text} - ${factor} * ${rows[k]![c]}`));
    }
    return pivot;
  });
  const xs: string[][] = all.map(() => []);
  for (const k of all.toReversed()) {
    for (let j = 0; j < width; j++) {
      const known = all.slice(k + 1).map((c) => ` - ${rows[k]![c]} * ${xs[c]![j]}`).join("");
      xs[k]!.push(name(`(${rows[k]![n + j]}${known}) / ${pivots[k]}`));
    }
  }
  return xs.flat();
}

/** A pivot, NaN instead of 0: it reaches every element of the solution. */
function orNaN(pivot: string, dialect: Dialect): string {
  const nan = dialect.literal(NaN) ?? read(dialect.constant(Float64Array.of(NaN)), 0);
  return dialect.element("where", [pivot, pivot, nan]);
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

/**
 * x of `a x = b` by Gaussian elimination with partial pivoting, on copies; b becomes x. Operations: about 2/3 n³ + 2 n² m,
 * lanes that share the work divide once for every entry.
 */
export function emitSolve(node: Node, a: Place, b: Place, x: Place, lines: string[], dialect: Dialect): void {
  const n = node.shape[0]!;
  const width = node.size / n;
  const lu = dialect.scratch(n * n);
  emitCopy(a, n * n, lu, lines, dialect);
  emitCopy(b, node.size, x, lines, dialect);
  dialect.sync(lines);
  const at = (i: string, j: string): string => read(lu, `${i} * ${n} + ${j}`);
  const xAt = (i: string, j: string): string => read(x, `${i} * ${width} + ${j}`);
  const size = (i: string, k: string): string => dialect.element("abs", [at(i, k)]);
  /** `p`: the row of the largest entry of column k from row k on. */
  const findPivot = (k: string): void => {
    lines.push(dialect.variable("largest", k));
    dialect.repeat(lines, "below", n, () => {
      lines.push(`if ((below > ${k}) & (${size("below", k)} > ${size("largest", k)})) { largest = below; }`);
    });
  };
  const exchange = (entry: (i: string) => string, k: string): void => {
    lines.push(dialect.define("upper", entry(k)), `${entry(k)} = ${entry("largest")};`, `${entry("largest")} = upper;`);
  };
  const k = `k${node.id}`;
  dialect.repeat(lines, k, n, () => {
    if (dialect.cooperative) exchangeTogether();
    else exchangeAlone();
    const divided = (): string => `${at("below", k)} / ${orNaN(at(k, k), dialect)}`;
    const eliminate = (count: number, entry: (i: string, j: string) => string, test = ""): void => {
      const text = `${entry("below", "j")} -= factor * ${entry(k, "j")};`;
      if (!dialect.cooperative) return dialect.each(lines, "j", count, () => lines.push(text));
      dialect.each(lines, "i", n * count, () => {
        lines.push(dialect.define("below", `i / ${count}`), dialect.define("j", `i % ${count}`));
        lines.push(`if ((below > ${k})${test}) {`, dialect.define("factor", divided()), text, "}");
      });
    };
    if (dialect.cooperative) {
      // Column k and row k stay as they are: every lane reads them.
      eliminate(n, at, ` & (j > ${k})`);
      eliminate(width, xAt);
    } else {
      dialect.each(lines, "below", n, () => {
        lines.push(`if (below > ${k}) {`, dialect.define("factor", divided()));
        eliminate(n, at);
        eliminate(width, xAt);
        lines.push("}");
      });
    }
    dialect.sync(lines);
  });
  // Upwards, each column of x by itself.
  dialect.each(lines, "j", width, () => {
    dialect.repeat(lines, "up", n, () => {
      lines.push(dialect.define("here", `${n - 1} - up`), dialect.variable("total", xAt("here", "j")));
      dialect.repeat(lines, "below", n, () => {
        lines.push(`if (below > here) { total -= ${at("here", "below")} * ${xAt("below", "j")}; }`);
      });
      lines.push(`${xAt("here", "j")} = total / ${orNaN(at("here", "here"), dialect)};`);
    });
  });

  function exchangeAlone(): void {
    findPivot(k);
    dialect.each(lines, "j", n, () => exchange((i) => at(i, "j"), k));
    dialect.each(lines, "j", width, () => exchange((i) => xAt(i, "j"), k));
  }

  /** Each lane finds the pivot for itself; column k, where all of them look, is exchanged last. */
  function exchangeTogether(): void {
    for (const [count, entry, test] of [[n, at, `if (j != ${k}) {`], [width, xAt, "{"]] as const) {
      dialect.each(lines, "j", count, () => {
        findPivot(k);
        lines.push(test);
        exchange((i) => entry(i, "j"), k);
        lines.push("}");
      });
    }
    dialect.sync(lines);
    dialect.each(lines, "j", 1, () => {
      findPivot(k);
      exchange((i) => at(i, k), k);
    });
    dialect.sync(lines);
  }
}
