import { functionsOf } from "./functions.ts";
import { assembleKernel, type Kernel } from "./kernel.ts";

export type ReduceOp = "sum" | "max" | "max-abs";

export const REDUCE_LANES = 64;

const COMBINE: Readonly<Record<ReduceOp, (a: string, b: string) => string>> = {
  sum: (a, b) => `${a} + ${b}`,
  max: (a, b) => `maxOf(${a}, ${b})`,
  "max-abs": (a, b) => `maxOf(${a}, ${b})`,
};

const HEADER = `
OUT[o, c, i] = op over r = c, c + chunks, c + 2 chunks, ... of IN[o, r, i]: one level of a tree, all chunks not empty.
One invocation per (o, c, i), neighbours on neighbouring words at every turn, whatever the inner size.
Bytes per element: 4, and 4 per result. Loops: rows / 4 + 3 turns. NaN is passed on by every op.
`;

/** One level of a reduction; the words of the uniform: outer, length, inner, chunks, inBase, outBase. */
export function reduceKernel(op: ReduceOp): Kernel {
  const load = (r: string): string => {
    const word = `IN[P.inBase + (o * P.length + ${r}) * P.inner + i]`;
    return op === "max-abs" ? `abs(${word})` : word;
  };
  const combine = COMBINE[op];
  const main = [
    `let e = group * ${REDUCE_LANES}u + lane;`,
    "if (e >= P.outer * P.chunks * P.inner) { return; }",
    "let i = e % P.inner; let c = (e / P.inner) % P.chunks; let o = e / (P.inner * P.chunks);",
    `var total = ${load("c")};`,
    "var r = c + P.chunks;",
    "for (; r + 3u * P.chunks < P.length; r += 4u * P.chunks) {",
    ...[0, 1, 2, 3].map((k) => `let v${k} = ${load(`r + ${k}u * P.chunks`)};`),
    `let four = ${combine(combine("v0", "v1"), combine("v2", "v3"))};`,
    `total = ${combine("total", "four")};`,
    "}",
    "for (; r < P.length; r += P.chunks) {",
    `total = ${combine("total", load("r"))};`,
    "}",
    "OUT[P.outBase + e] = total;",
  ];
  return assembleKernel({
    name: `reduce ${op}`,
    header: HEADER,
    bindings: [
      { name: "P", kind: "uniform", type: "Params" },
      { name: "IN", kind: "read", type: "array<f32>" },
      { name: "OUT", kind: "read_write", type: "array<f32>" },
    ],
    declarations: [
      "struct Params { outer: u32, length: u32, inner: u32, chunks: u32, inBase: u32, outBase: u32 }",
      ...functionsOf(main.join("\n")),
    ],
    workgroup: REDUCE_LANES,
    main,
  });
}
