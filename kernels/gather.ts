import { assembleKernel, type Kernel } from "./kernel.ts";

export const GATHER_LANES = 256;

/** Rows of a table by their numbers; the words of the uniform: count, width, rows, indexBase, tableBase, outBase. */
export const GATHER_KERNEL: Kernel = assembleKernel({
  name: "gather",
  header: `
OUT[n, i] = TABLE[INDEX[n], i] for i < width, n < count, bit for bit; NaN where INDEX[n] is no row of the table.
One invocation per word, neighbours on neighbouring words of a row. Bytes per word: 8, and 4 per index. No loops.
`,
  bindings: [
    { name: "P", kind: "uniform", type: "Params" },
    { name: "INDEX", kind: "read", type: "array<u32>" },
    { name: "TABLE", kind: "read", type: "array<u32>" },
    { name: "OUT", kind: "read_write", type: "array<u32>" },
  ],
  declarations: [
    "struct Params { count: u32, width: u32, rows: u32, indexBase: u32, tableBase: u32, outBase: u32 }",
  ],
  workgroup: GATHER_LANES,
  main: [
    `let e = group * ${GATHER_LANES}u + lane;`,
    "if (e >= P.count * P.width) { return; }",
    "let row = INDEX[P.indexBase + e / P.width];",
    "let known = row < P.rows;",
    "let word = TABLE[P.tableBase + select(0u, row, known) * P.width + e % P.width];",
    "OUT[P.outBase + e] = select(0x7fc00000u, word, known);",
  ],
});
