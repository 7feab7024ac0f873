import { assembleKernel, type Kernel, type KernelParts } from "./kernel.ts";

/** Keys are sorted by one digit of 8 bits at a time; a workgroup takes a tile of keys. */
export const DIGIT_BITS = 8;
const DIGITS = 2 ** DIGIT_BITS;
const LANES = 256;
const ROUNDS = 8;
export const SORT_TILE: number = LANES * ROUNDS;
/** Tiles are counted in fours, so that the loop over them is unrolled. */
export const TILES_AT_ONCE = 4;

const PARAMS = "struct Params { count: u32, tiles: u32, shift: u32, most: u32, keyBase: u32 }";
const HEADER = `
One pass of a stable sort of keys by a digit of 8 bits, the lowest first (Knuth 1973, 5.2.5), without atomics whose order
matters: the same keys give the same order, bit for bit. Keys above "most" count as "most".
`;
const HEADERS = {
  count: `${HEADER}
COUNTS[tile, digit] = how many keys of a tile of ${SORT_TILE} have the digit.
Bytes per key: 4, and 1/2 for the counts. Loops: ${ROUNDS} turns.
`,
  offsets: `${HEADER}
COUNTS becomes where the first key of each tile and digit goes: a sum over digits, and for each over the tiles before.
One workgroup, an invocation per digit. Bytes per tile: 3 KiB. Loops: tiles / 2 + 8 turns.
`,
  place: `${HEADER}
Each key, and what it belongs to, goes to its place: the offset of its digit and, among the ${LANES} keys of a round, the
number of those before it with the same digit, from bits in workgroup memory (9 KiB).
Bytes per key: 16, of the first pass 12. Loops: ${ROUNDS} rounds of 16 turns at most.
`,
} as const;

type Binding = KernelParts["bindings"][number];

const array = (name: string, kind: Binding["kind"]): Binding => ({ name, kind, type: "array<u32>" });

function assemble(
  phase: keyof typeof HEADERS,
  first: boolean,
  { bindings, declarations, main }: Pick<KernelParts, "bindings" | "main"> & {
    readonly declarations: readonly string[];
  },
): Kernel {
  return assembleKernel({
    name: `sort ${phase}${first ? " first" : ""}`,
    header: HEADERS[phase],
    bindings: [{ name: "P", kind: "uniform", type: "Params" }, ...bindings],
    declarations: [PARAMS, ...declarations],
    workgroup: LANES,
    main,
  });
}

/** The words of the uniforms of all three: count, tiles (a multiple of 4), shift, most, keyBase. */
export const SORT_COUNT_KERNEL: Kernel = assemble("count", false, {
  bindings: [array("KEYS", "read"), array("COUNTS", "read_write")],
  declarations: [`var<workgroup> bins: array<atomic<u32>, ${DIGITS}>;`],
  main: [
    `for (var k = 0u; k < ${ROUNDS}u; k++) {`,
    `let n = group * ${SORT_TILE}u + k * ${LANES}u + lane;`,
    "if (n < P.count) {",
    `atomicAdd(&bins[(min(KEYS[P.keyBase + n], P.most) >> P.shift) & ${DIGITS - 1}u], 1u);`,
    "}",
    "}",
    "workgroupBarrier();",
    `if (group < P.tiles) { COUNTS[group * ${DIGITS}u + lane] = atomicLoad(&bins[lane]); }`,
  ],
});

export const SORT_OFFSETS_KERNEL: Kernel = assemble("offsets", false, {
  bindings: [array("COUNTS", "read_write")],
  declarations: [`var<workgroup> sums: array<u32, ${DIGITS}>;`],
  main: [
    "var total = 0u;",
    `for (var tile = 0u; tile < P.tiles; tile += ${TILES_AT_ONCE}u) {`,
    `let e = tile * ${DIGITS}u + lane;`,
    `total += COUNTS[e] + COUNTS[e + ${DIGITS}u] + COUNTS[e + ${2 * DIGITS}u] + COUNTS[e + ${3 * DIGITS}u];`,
    "}",
    "sums[lane] = total;",
    "workgroupBarrier();",
    `for (var step = 1u; step < ${DIGITS}u; step = step * 2u) {`,
    "var sum = sums[lane];",
    "if (lane >= step) { sum += sums[lane - step]; }",
    "workgroupBarrier();",
    "sums[lane] = sum;",
    "workgroupBarrier();",
    "}",
    "var place = sums[lane] - total;",
    `for (var tile = 0u; tile < P.tiles; tile += ${TILES_AT_ONCE}u) {`,
    `let e = tile * ${DIGITS}u + lane;`,
    ...[0, 1, 2, 3].map((k) => `let c${k} = COUNTS[e + ${k * DIGITS}u];`),
    ...[0, 1, 2, 3].map((k) => `COUNTS[e + ${k * DIGITS}u] = place; place += c${k};`),
    "}",
  ],
});

/** `first`: the keys are as they came, and belong to their own numbers. */
export function sortPlaceKernel(first: boolean): Kernel {
  const words = DIGITS / 32;
  const all = Array.from({ length: words }, (_, w) => w);
  const bits = (w: string): string => `countOneBits(atomicLoad(&equal[digit * ${words}u + ${w}]))`;
  return assemble("place", first, {
    bindings: [
      array("KEYS", "read"),
      ...(first ? [] : [array("ORDER", "read")]),
      array("COUNTS", "read"),
      array("SORTED", "read_write"),
      array("ORDERED", "read_write"),
    ],
    declarations: [
      "// The lanes whose keys have a digit, as bits.",
      `var<workgroup> equal: array<atomic<u32>, ${DIGITS * words}>;`,
      `var<workgroup> next: array<u32, ${DIGITS}>;`,
    ],
    main: [
      `next[lane] = COUNTS[select(0u, group, group < P.tiles) * ${DIGITS}u + lane];`,
      `for (var k = 0u; k < ${ROUNDS}u; k++) {`,
      ...all.map((w) => `atomicStore(&equal[lane * ${words}u + ${w}u], 0u);`),
      "workgroupBarrier();",
      `let n = group * ${SORT_TILE}u + k * ${LANES}u + lane;`,
      "let inside = n < P.count;",
      "let e = select(0u, n, inside);",
      "let key = min(KEYS[P.keyBase + e], P.most);",
      `let digit = (key >> P.shift) & ${DIGITS - 1}u;`,
      `if (inside) { atomicOr(&equal[digit * ${words}u + lane / 32u], 1u << (lane % 32u)); }`,
      "workgroupBarrier();",
      "if (inside) {",
      "var place = next[digit];",
      `for (var w = 0u; w < lane / 32u; w++) { place += ${bits("w")}; }`,
      `place += countOneBits(atomicLoad(&equal[digit * ${words}u + lane / 32u]) & ((1u << (lane % 32u)) - 1u));`,
      "SORTED[place] = key;",
      `ORDERED[place] = ${first ? "n" : "ORDER[e]"};`,
      "}",
      "workgroupBarrier();",
      // A lane looks after its own digit: what it zeroes next is read by nobody any more.
      `next[lane] += ${all.map((w) => `countOneBits(atomicLoad(&equal[lane * ${words}u + ${w}u]))`).join(" +\n  ")};`,
      "}",
    ],
  });
}
