/** Tables and numbers as plain text. */

/** A column: its title, and whether its cells stand on the left. */
export interface Column {
  readonly title: string;
  readonly left?: boolean;
}

/** A table with a line under its titles; columns are as wide as they must be. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title }, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? "").length)));
  const line = (cells: readonly string[]): string =>
    columns.map(({ left }, i) => {
      const cell = cells[i] ?? "";
      return left ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!);
    }).join("  ").trimEnd();
  const titles = line(columns.map(({ title }) => title));
  return [titles, widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(line)].join("\n");
}

/** A whole number with separators: `108,000`. */
export function formatCount(value: number): string {
  return value.toLocaleString("en-US");
}

/** Milliseconds with about three digits: `0.42`, `93.1`, `2,271`. */
export function formatMs(ms: number): string {
  return ms >= 1000 ? formatCount(Math.round(ms)) : ms.toFixed(ms >= 100 ? 0 : ms >= 1 ? 1 : 2);
}

/** A small number: `0`, `0.024`, `2.2e-7`. */
export function formatSmall(value: number): string {
  if (value === 0) return "0";
  return Math.abs(value) >= 1e-3 && Math.abs(value) < 1e4 ? value.toPrecision(2) : value.toExponential(1);
}

/** A large number: `36`, `2,566`, `9.9e+19`. */
export function formatLarge(value: number): string {
  return value < 1e6 ? formatCount(Math.round(value)) : value.toExponential(1);
}

/** Text in lines of at most `width` characters, those after the first indented. */
export function wrapText(text: string, width: number = 100, indent: string = ""): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = indent + word;
    } else line += line === "" ? word : ` ${word}`;
  }
  return [...lines, line].join("\n");
}
