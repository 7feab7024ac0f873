import type { Dialect } from "./dialect.ts";
import type { Node } from "./graph.ts";
import { type Place, read } from "./places.ts";
import { emitCopy } from "./print_blocks.ts";

/** Elimination without loops: rows are exchanged by choices, the largest entry of a column comes up. */
export function solveStraight(
  node: Node,
  a: readonly string[],
  b: readonly string[],
  lines: string[],
  d: Dialect,
): string[] {
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
export function orNaN(pivot: string, dialect: Dialect): string {
  const nan = dialect.literal(NaN) ?? read(dialect.constant(Float64Array.of(NaN)), 0);
  return dialect.element("where", [pivot, pivot, nan]);
}

/** A statement for every column of a row, several in each turn of the loop. */
function eachColumn(width: number, lines: string[], dialect: Dialect, emit: (j: string) => string): void {
  const turns = Math.ceil(width / dialect.columnsAtOnce);
  // Turns of equal length where that comes out even.
  const step = width % turns === 0 ? width / turns : dialect.columnsAtOnce;
  const even = width - width % step;
  if (even > 0) {
    dialect.each(lines, "j", even, () => {
      for (let u = 0; u < step; u++) lines.push(emit(u === 0 ? "j" : `(j + ${u})`));
    }, step);
  }
  for (let j = even; j < width; j++) lines.push(emit(String(j)));
}

/** A matrix in memory: the text of an entry. */
interface Entries {
  readonly width: number;
  readonly at: (i: string, j: string) => string;
}

/** The right side of an equation, and where its solution goes. */
interface RightSide {
  readonly from: Place;
  readonly x: Place;
  readonly size: number;
}

/**
 * x of `a x = b` by Gaussian elimination with partial pivoting, on copies; b becomes x. Right sides of one matrix share the
 * elimination. Operations: about 2/3 n³ + 2 n² m, lanes that share the work divide once for every entry.
 */
export function emitSolve(
  node: Node,
  a: Place,
  sides: readonly RightSide[],
  lines: string[],
  dialect: Dialect,
): void {
  const n = node.shape[0]!;
  const lu = dialect.scratch(n * n);
  emitCopy(a, n * n, lu, lines, dialect);
  for (const { from, x, size } of sides) emitCopy(from, size, x, lines, dialect);
  dialect.sync(lines);
  const entries = (place: Place, width: number): Entries => ({
    width,
    at: (i, j) => read(place, `${i} * ${width} + ${j}`),
  });
  const matrix = entries(lu, n);
  const { at } = matrix;
  const xs = sides.map(({ x, size }) => entries(x, size / n));
  const all = [matrix, ...xs];
  const size = (i: string, k: string): string => dialect.element("abs", [at(i, k)]);
  /** `p`: the row of the largest entry of column k from row k on. */
  const findPivot = (k: string): void => {
    lines.push(dialect.variable("largest", k));
    dialect.repeat(lines, "below", n, () => {
      lines.push(`if ((below > ${k}) & (${size("below", k)} > ${size("largest", k)})) { largest = below; }`);
    });
  };
  const exchange = (entry: (i: string) => string, k: string): string =>
    `{ ${dialect.define("upper", entry(k))} ${entry(k)} = ${entry("largest")}; ${entry("largest")} = upper; }`;
  const k = `k${node.id}`;
  dialect.repeat(lines, k, n, () => {
    if (dialect.cooperative) exchangeTogether();
    else exchangeAlone();
    const divided = (): string => `${at("below", k)} / ${orNaN(at(k, k), dialect)}`;
    const subtracted = (entry: Entries["at"], j: string): string => `${entry("below", j)} -= factor * ${entry(k, j)};`;
    if (dialect.cooperative) {
      // Column k and row k stay as they are: every lane reads them.
      for (const { width, at: entry } of all) {
        dialect.each(lines, "i", n * width, () => {
          lines.push(dialect.define("below", `i / ${width}`), dialect.define("j", `i % ${width}`));
          lines.push(`if ((below > ${k})${entry === at ? ` & (j > ${k})` : ""}) {`);
          lines.push(dialect.define("factor", divided()), subtracted(entry, "j"), "}");
        });
      }
    } else {
      dialect.each(lines, "below", n, () => {
        lines.push(`if (below > ${k}) {`, dialect.define("factor", divided()));
        for (const { width, at: entry } of all) eachColumn(width, lines, dialect, (j) => subtracted(entry, j));
        lines.push("}");
      });
    }
    dialect.sync(lines);
  });
  if (dialect.cooperative) substituteTogether();
  else substituteAlone();
  dialect.release?.(lu, n * n);

  /** Upwards, row by row. */
  function substituteAlone(): void {
    dialect.repeat(lines, "up", n, () => {
      lines.push(dialect.define("here", `${n - 1} - up`));
      const each = (text: (entry: Entries["at"], j: string) => string): void => {
        for (const { width, at: entry } of xs) eachColumn(width, lines, dialect, (j) => text(entry, j));
      };
      dialect.repeat(lines, "below", n, () => {
        lines.push("if (below > here) {", dialect.define("factor", at("here", "below")));
        each((entry, j) => `${entry("here", j)} -= factor * ${entry("below", j)};`);
        lines.push("}");
      });
      lines.push(dialect.define("pivot", orNaN(at("here", "here"), dialect)));
      each((entry, j) => `${entry("here", j)} /= pivot;`);
    });
  }

  /** Upwards, each column of x by itself. */
  function substituteTogether(): void {
    for (const { width, at: xAt } of xs) {
      dialect.each(lines, "j", width, () => {
        dialect.repeat(lines, "up", n, () => {
          lines.push(dialect.define("here", `${n - 1} - up`), dialect.variable("total", xAt("here", "j")));
          dialect.repeat(lines, "below", n, () => {
            lines.push(`if (below > here) { total -= ${at("here", "below")} * ${xAt("below", "j")}; }`);
          });
          lines.push(`${xAt("here", "j")} = total / ${orNaN(at("here", "here"), dialect)};`);
        });
      });
    }
  }

  function exchangeAlone(): void {
    findPivot(k);
    for (const { width, at: entry } of all) {
      eachColumn(width, lines, dialect, (j) => exchange((i) => entry(i, j), k));
    }
  }

  /** Each lane finds the pivot for itself; column k, where all of them look, is exchanged last. */
  function exchangeTogether(): void {
    for (const { width, at: entry } of all) {
      dialect.each(lines, "j", width, () => {
        findPivot(k);
        lines.push(...(entry === at ? [`if (j != ${k})`] : []), exchange((i) => entry(i, "j"), k));
      });
    }
    dialect.sync(lines);
    dialect.each(lines, "j", 1, () => {
      findPivot(k);
      lines.push(exchange((i) => at(i, k), k));
    });
    dialect.sync(lines);
  }
}
