import type { Dialect } from "./dialect.ts";
import type { Node } from "./graph.ts";
import { type Place, read } from "./places.ts";
import { emitCopy } from "./print_blocks.ts";
import { orNaN } from "./print_solve.ts";

/** Elimination without loops and without exchanges: the logarithms of the pivots, each a name, and their sum. */
export function logDetStraight(node: Node, a: readonly string[], lines: string[], dialect: Dialect): Place {
  const n = node.args[0]!.shape[0]!;
  const rows = Array.from({ length: n }, (_, i) => a.slice(i * n, (i + 1) * n));
  let count = 0;
  const name = (text: string): string => {
    lines.push(dialect.define(`v${node.id}_${count}`, text));
    return `v${node.id}_${count++}`;
  };
  const logs = rows.map((row, k) => {
    const pivot = name(orNaN(row[k]!, dialect));
    for (const lower of rows.slice(k + 1)) {
      const factor = name(`${lower[k]} / ${pivot}`);
      for (let c = k + 1; c < n; c++) lower[c] = name(`${lower[c]} - ${factor} * ${row[c]}`);
    }
    return name(dialect.element("log", [pivot]));
  });
  return { kind: "same", text: name(logs.join(" + ")) };
}

/** `log det a` by elimination on a copy, without exchanges of rows. Operations: about 2/3 n³, and n logarithms. */
export function emitLogDet(node: Node, a: Place, lines: string[], dialect: Dialect): Place {
  const n = node.args[0]!.shape[0]!;
  const lu = dialect.scratch(n * n);
  emitCopy(a, n * n, lu, lines, dialect);
  dialect.sync(lines);
  const at = (i: string, j: string): string => read(lu, `${i} * ${n} + ${j}`);
  const k = `k${node.id}`;
  const factor = (): string => dialect.define("factor", `${at("below", k)} / ${orNaN(at(k, k), dialect)}`);
  const subtract = `${at("below", "j")} -= factor * ${at(k, "j")};`;
  dialect.repeat(lines, k, n - 1, () => {
    if (dialect.cooperative) {
      // Column k and row k stay as they are: every lane reads them.
      dialect.each(lines, "i", n * n, () => {
        lines.push(dialect.define("below", `i / ${n}`), dialect.define("j", `i % ${n}`));
        lines.push(`if ((below > ${k}) & (j > ${k})) {`, factor(), subtract, "}");
      });
    } else {
      dialect.each(lines, "below", n, () => {
        lines.push(`if (below > ${k}) {`, factor());
        dialect.each(lines, "j", n, () => lines.push(subtract));
        lines.push("}");
      });
    }
    dialect.sync(lines);
  });
  const total = `v${node.id}`;
  const addLogs = (): void => {
    lines.push(dialect.variable(total, dialect.literal(0)!));
    dialect.repeat(lines, "j", n, () => {
      lines.push(`${total} += ${dialect.element("log", [orNaN(at("j", "j"), dialect)])};`);
    });
  };
  if (!dialect.cooperative) {
    addLogs();
    return { kind: "same", text: total };
  }
  const out = dialect.scratch(1);
  dialect.each(lines, "i", 1, () => {
    addLogs();
    lines.push(`${read(out, 0)} = ${total};`);
  });
  return out;
}
