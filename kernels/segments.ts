import { assembleKernel, type Kernel } from "./kernel.ts";

export const SEGMENT_LANES = 64;
/** Entries that an invocation adds up. */
export const SEGMENT_CHUNK = 64;

const HEADER = `
OUT[key, i] += sum of FROM[n, i] over the entries n of a key, keys in rising order; keys of "rows" and above are left
out. One level of a tree: an invocation per chunk of ${SEGMENT_CHUNK} entries and
column, neighbours on neighbouring columns. A key whose entries all lie in a chunk goes to OUT; of those that cross
its ends the sums go to PARTS, two rows a chunk, with their keys (none: 0xffffffff), again in rising order: the entries of
the next level.
Bytes per element: 4, and 1/8 for the parts; 4 per column and key, mostly from caches. Loops: ${SEGMENT_CHUNK} turns.
`;

/**
 * Sums of rows by their keys; `ordered`: entry n is row ORDER[n] of FROM. The words of the uniform: count, width, rows,
 * fromBase.
 */
export function segmentKernel(ordered: boolean): Kernel {
  const array = (name: string, kind: "read" | "read_write", type: string) => ({ name, kind, type: `array<${type}>` });
  return assembleKernel({
    name: `sum segments${ordered ? " in order" : ""}`,
    header: HEADER,
    bindings: [
      { name: "P", kind: "uniform", type: "Params" },
      array("KEYS", "read", "u32"),
      ...(ordered ? [array("ORDER", "read", "u32")] : []),
      array("FROM", "read", "f32"),
      array("OUT", "read_write", "f32"),
      array("PARTS", "read_write", "f32"),
      array("PART_KEYS", "read_write", "u32"),
    ],
    declarations: [
      "struct Params { count: u32, width: u32, rows: u32, fromBase: u32 }",
      "const NONE = 0xffffffffu;",
    ],
    workgroup: SEGMENT_LANES,
    main: [
      `let e = group * ${SEGMENT_LANES}u + lane;`,
      "let chunk = e / P.width; let i = e % P.width;",
      `let first = chunk * ${SEGMENT_CHUNK}u;`,
      "if (first >= P.count) { return; }",
      `let end = min(first + ${SEGMENT_CHUNK}u, P.count);`,
      "var key = KEYS[first]; var total = 0.0;",
      // Whether the entries of the present key began before this chunk.
      "var open = first > 0u && KEYS[max(first, 1u) - 1u] == key;",
      "var headKey = NONE; var tailKey = NONE; var head = 0.0; var tail = 0.0;",
      "for (var n = first; n < end; n++) {",
      "let found = KEYS[n];",
      "if (found != key) {",
      "if (open) { head = total; headKey = key; }",
      "else if (key < P.rows) { OUT[key * P.width + i] += total; }",
      "open = false; key = found; total = 0.0;",
      "}",
      `total += FROM[P.fromBase + ${ordered ? "ORDER[n]" : "n"} * P.width + i];`,
      "}",
      "let goesOn = end < P.count && KEYS[min(end, P.count - 1u)] == key;",
      // A key that fills the chunk and goes on has a tail of nothing, so that its parts stay side by side.
      "if (open) { head = total; headKey = key; tailKey = select(NONE, key, goesOn); }",
      "else if (goesOn) { tail = total; tailKey = key; }",
      "else if (key < P.rows) { OUT[key * P.width + i] += total; }",
      "PARTS[2u * chunk * P.width + i] = head; PARTS[(2u * chunk + 1u) * P.width + i] = tail;",
      "if (i == 0u) { PART_KEYS[2u * chunk] = headKey; PART_KEYS[2u * chunk + 1u] = tailKey; }",
    ],
  });
}
