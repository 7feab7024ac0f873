import { assembleKernel, type Kernel } from "./kernel.ts";

/** Rows and columns of the tile of a workgroup, and how deep it is loaded at a time. */
export const MATMUL_TILE = 64;
const DEPTH = 16;
const QUADS = MATMUL_TILE / 4;

/** Which of the two matrices is stored transposed. */
export type MatmulForm = "ab" | "abt" | "atb";

const HEADER = `
OUT[s] = A[:, slice s] B[slice s, :], row-major; A is (M, K), stored as (K, M) for atb, B (K, N), stored as (N, K) for
abt. One slice: the whole product.
A workgroup of 256 computes a tile of 64 x 64, an invocation 4 x 4 in registers; slices of 16 of A and B go through
workgroup memory (8 KiB), A transposed, both as vec4 (Volkov & Demmel 2008).
Bytes: 4 (M K ceil(N / 64) + K N ceil(M / 64) + M N); operations: 2 M K N. Loops: 6 turns per 16 of K.
`;

/** The turns of an invocation for a slice of `inner`; drivers count the last test of an inner loop as one. */
export function matmulTurns(inner: number): number {
  return Math.ceil(inner / DEPTH) * (2 + DEPTH / 4);
}

/** WGSL: a vec4 of four words `stride` apart, zero where `column + j` (or the one other index) is outside. */
function quad(array: string, base: string, stride: string, inside: string, first: string, count: string): string {
  const word = (j: number): string => {
    const guard = `${inside} && ${first} + ${j}u < ${count}`;
    // Clamped: both sides of a select are read.
    return `select(0.0, ${array}[select(0u, ${base} + ${j}u * ${stride}, ${guard})], ${guard})`;
  };
  return `vec4<f32>(${[0, 1, 2, 3].map(word).join(",\n  ")})`;
}

/** Loads a slice of 16 of a matrix, 64 across, of which lines run along the slice (`along`) or across it. */
function load(array: string, base: string, along: boolean, first: string, count: string): string[] {
  const tile = array === "A" ? "leftTile" : "rightTile";
  if (!along) {
    return [
      "{",
      `let d = k + lane / ${QUADS}u; let e = ${first} + 4u * (lane % ${QUADS}u);`,
      `${tile}[lane] = ${quad(array, `${base} + d * ${count} + e`, "1u", "d < end", "e", count)};`,
      "}",
    ];
  }
  return [
    "{",
    `let d = k + lane % ${DEPTH}u; let e = ${first} + 4u * (lane / ${DEPTH}u);`,
    `${tile}[(lane % ${DEPTH}u) * ${QUADS}u + lane / ${DEPTH}u] = ${
      quad(array, `${base} + e * P.inner + d`, "P.inner", "d < end", "e", count)
    };`,
    "}",
  ];
}

/**
 * A tile of a product of matrices; the words of the uniform: rows, inner, columns, slice (of the inner size, a multiple of
 * 16 where there are several), aBase, bBase, outBase.
 */
export function matmulKernel(form: MatmulForm): Kernel {
  return assembleKernel({
    name: `matmul ${form}`,
    header: HEADER,
    bindings: [
      { name: "P", kind: "uniform", type: "Params" },
      { name: "A", kind: "read", type: "array<f32>" },
      { name: "B", kind: "read", type: "array<f32>" },
      { name: "OUT", kind: "read_write", type: "array<f32>" },
    ],
    declarations: [
      "struct Params { rows: u32, inner: u32, columns: u32, slice: u32, aBase: u32, bBase: u32, outBase: u32 }",
      `var<workgroup> leftTile: array<vec4<f32>, ${DEPTH * QUADS}>;`,
      `var<workgroup> rightTile: array<vec4<f32>, ${DEPTH * QUADS}>;`,
    ],
    workgroup: 256,
    main: [
      `let across = (P.columns + ${MATMUL_TILE - 1}u) / ${MATMUL_TILE}u;`,
      `let down = (P.rows + ${MATMUL_TILE - 1}u) / ${MATMUL_TILE}u;`,
      `let n = (group % across) * ${MATMUL_TILE}u; let m = (group / across % down) * ${MATMUL_TILE}u;`,
      "let s = group / (across * down);",
      // Workgroups beyond the last slice (of a folded grid) have nothing to add up and nothing to store.
      "let start = s * P.slice; let end = min(start + P.slice, P.inner);",
      "var c0 = vec4<f32>(); var c1 = vec4<f32>(); var c2 = vec4<f32>(); var c3 = vec4<f32>();",
      `for (var k = start; k < end; k += ${DEPTH}u) {`,
      ...load("A", "P.aBase", form !== "atb", "m", "P.rows"),
      ...load("B", "P.bBase", form === "abt", "n", "P.columns"),
      "workgroupBarrier();",
      // What lies beyond the end is zero in both.
      `let depth = min(${DEPTH}u, end - k);`,
      "for (var d = 0u; d < depth; d += 4u) {",
      ...[0, 1, 2, 3].flatMap((j) => [
        `let a${j} = leftTile[(d + ${j}u) * ${QUADS}u + lane / ${QUADS}u];`,
        `let b${j} = rightTile[(d + ${j}u) * ${QUADS}u + lane % ${QUADS}u];`,
        ...[0, 1, 2, 3].map((i) => `c${i} += a${j}.${"xyzw"[i]} * b${j};`),
      ]),
      "}",
      "workgroupBarrier();",
      "}",
      `let row = m + 4u * (lane / ${QUADS}u); let column = n + 4u * (lane % ${QUADS}u);`,
      "if (s * P.slice >= max(P.inner, 1u)) { return; }",
      ...[0, 1, 2, 3].flatMap((i) =>
        [0, 1, 2, 3].map((j) =>
          `if (row + ${i}u < P.rows && column + ${j}u < P.columns) { ` +
          `OUT[P.outBase + (s * P.rows + row + ${i}u) * P.columns + column + ${j}u] = c${i}.${"xyzw"[j]}; }`
        )
      ),
    ],
  });
}
