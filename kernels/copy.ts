import { assembleKernel, type Kernel } from "./kernel.ts";

export const COPY_LANES = 256;

/** Rows between two strided arrays; the words of the uniform are `CopyParams` in order. */
export const COPY_KERNEL: Kernel = assembleKernel({
  name: "copy rows",
  header: `
TO[r toStride + i] = FROM[r fromStride + i] for i < width, r < rows. One invocation per word, neighbours on neighbours.
Bytes per word: 8. No loops.
`,
  bindings: [
    { name: "P", kind: "uniform", type: "Params" },
    { name: "FROM", kind: "read", type: "array<u32>" },
    { name: "TO", kind: "read_write", type: "array<u32>" },
  ],
  declarations: [
    "struct Params { width: u32, rows: u32, fromBase: u32, fromStride: u32, toBase: u32, toStride: u32 }",
  ],
  workgroup: COPY_LANES,
  main: [
    `let e = group * ${COPY_LANES}u + lane;`,
    "if (e >= P.width * P.rows) { return; }",
    "let r = e / P.width; let i = e % P.width;",
    "TO[P.toBase + r * P.toStride + i] = FROM[P.fromBase + r * P.fromStride + i];",
  ],
});

/** One word everywhere; the uniform holds the first word, how many, and the bits. */
export const FILL_KERNEL: Kernel = assembleKernel({
  name: "fill",
  header: `
TO[i] = bits for i < count. One invocation per word. Bytes per word: 4. No loops.
`,
  bindings: [
    { name: "P", kind: "uniform", type: "Params" },
    { name: "TO", kind: "read_write", type: "array<u32>" },
  ],
  declarations: ["struct Params { base: u32, count: u32, bits: u32 }"],
  workgroup: COPY_LANES,
  main: [`let i = group * ${COPY_LANES}u + lane;`, "if (i < P.count) { TO[P.base + i] = P.bits; }"],
});
