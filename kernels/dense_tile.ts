import {
  atomicWord,
  denseArrays,
  denseBindings,
  type DenseKernel,
  type DenseSpec,
  type DenseTurns,
  denseWords,
  plainWord,
  residualText,
  sequenceText,
} from "./dense.ts";
import { functionsOf } from "./functions.ts";
import { assembleKernel } from "./kernel.ts";
import { sinkText } from "./scan_sinks.ts";
import {
  beginTileProduct,
  declareTileProduct,
  factorStride,
  overColumns,
  stepTileProduct,
  storeTileProduct,
  tileProductTurns,
  tileProductWords,
} from "./tile_product.ts";
import { eachElement, elementTurns, INFO, locateRow, type TileShape } from "./traced.ts";

/** A dense scan by workgroups. */
export interface DenseTileSpec extends DenseSpec {
  readonly tile: TileShape & { readonly scratch: "workgroup" };
}

/** Words of workgroup memory beside the scratch of rows. */
export function denseTileWords(state: number): number {
  return tileProductWords(state) + 3 * state;
}

/** Turns of all loops for each row of a chunk, and beside the rows; the test that ends a loop is one. */
export function denseTileTurns({ code, tile, shape: { state: n } }: DenseTileSpec): DenseTurns {
  const each = Math.ceil(n / tile.lanes) + 1;
  const perTile = 2 + code.turns + elementTurns(tile, n);
  const reduce = Math.ceil(n * n / tile.lanes) + 1 + each + tileProductTurns({ size: n, lanes: tile.lanes });
  const apply = each + Math.ceil(n / tile.lanes) * (Math.floor(n / 4) + 1);
  return { row: 1 + perTile / tile.rows + Math.max(reduce, apply), fixed: 1 + perTile + 3 * each };
}

function place(spec: DenseTileSpec): string[] {
  const { phase, sink, chunked, shape: { state: n } } = spec;
  const reduces = phase === "reduce";
  const { out, exact } = sequenceText(sink, reduces ? plainWord : atomicWord);
  const left = `let c = group % P.chunks; let b = group / P.chunks;`;
  // Atomic words are not uniform: one invocation reads them for all.
  const seen = reduces ? [`let exact = ${exact};`, `if (${out}) { return; }`] : [
    `if (lane == 0u) { head = vec2<u32>(${exact}, u32(${out})); }`,
    "let seen = workgroupUniformLoad(&head); let exact = seen.x;",
    "if (seen.y == 1u) { return; }",
  ];
  const old = `Y[(b * P.rows + begin - 1u) * ${n}u + i]`;
  // Rows are overwritten: what stood before a chunk is kept by the reduction.
  const kept = !reduces && sink === "update" && chunked
    ? `if (begin > first) { before = ${old}; } else if (c > 0u) { before = AGG[P.second + (group - 1u) * ${n}u + i]; }`
    : `if (begin > 0u) { before = ${old}; }`;
  return [
    left,
    "if (b >= P.batch) { return; }",
    ...seen,
    "let first = c * P.chunk; let last = min(first + P.chunk, P.rows); let begin = max(first, exact);",
    `for (var i = lane; i < ${n}u; i += ${spec.tile.lanes}u) {`,
    `var before = START[b * ${n}u + i]; ${kept} edge[i] = before;`,
    "}",
  ];
}

/** Evaluates rows r0 to r0 + rows, `rows` of them, then visits them one after the other. */
function overRows(spec: DenseTileSpec, visit: readonly string[]): string[] {
  const { tile, shape, code } = spec;
  const n = shape.state;
  const locate = ["let r = r0 + row;", ...locateRow(shape, "r"), `let w = row * ${code.scratch}u;`];
  return [
    `for (var r0 = begin; r0 < last; r0 += ${tile.rows}u) {`,
    `let rows = min(${tile.rows}u, last - r0);`,
    ...eachElement(tile, n, locate, [
      `var before = edge[i]; if (row > 0u) { before = Y[(n - 1u) * ${n}u + i]; } W[w + i] = before;`,
    ]),
    "workgroupBarrier();",
    ...code.lines,
    "for (var row = 0u; row < rows; row++) {",
    ...locate,
    ...visit,
    "}",
    "}",
  ];
}

function reduceMain(spec: DenseTileSpec): string[] {
  const { tile: { lanes }, shape: { state: n }, sink, entry, value } = spec;
  const product = { size: n, lanes };
  const stride = factorStride(n);
  const visit = [
    `for (var e = lane; e < ${n * n}u; e += ${lanes}u) {`,
    `let i = e / ${n}u; let k = e % ${n}u;`,
    ...entry,
    `factor[i * ${stride}u + k] = g;`,
    "}",
    `for (var i = lane; i < ${n}u; i += ${lanes}u) {`,
    `let f = ${value}; let was = Y[n * ${n}u + i]; added[i] = ${residualText(sink, "f", "was")};`,
    "if (row + 1u == rows) { edge[i] = was; }",
    "}",
    "workgroupBarrier();",
    ...stepTileProduct(product, (j, sum) => `${sum} += factor[i * ${stride}u + ${j}] * product[${j} * across + tile];`),
    "workgroupBarrier();",
  ];
  return [
    ...place(spec),
    `let across = ${Math.ceil((n + 1) / 4)}u;`,
    // Before an exact row the difference is zero, whatever it was earlier.
    ...beginTileProduct(product, sink === "update" ? "select(1.0, 0.0, exact >= first)" : "1.0"),
    "workgroupBarrier();",
    ...overRows(spec, visit),
    ...storeTileProduct(product, `group * ${denseWords(n)}u`),
    `for (var i = lane; i < ${n}u; i += ${lanes}u) {`,
    `AGG[P.second + group * ${n}u + i] = Y[(b * P.rows + last - 1u) * ${n}u + i];`,
    "}",
  ];
}

function applyMain(spec: DenseTileSpec): string[] {
  const { tile: { lanes }, shape: { state: n }, sink, entry, value, chunked } = spec;
  const updates = sink === "update";
  const each = (body: readonly string[]): string[] => [
    `for (var i = lane; i < ${n}u; i += ${lanes}u) {`,
    ...body,
    "}",
  ];
  const start = chunked ? `AGG[group * ${denseWords(n)}u + ${n * n}u + i]` : updates ? "0.0" : `CARRY[b * ${n}u + i]`;
  const visit = [
    ...each([
      "var linear = 0.0;",
      ...overColumns(n, (k) => `{ let k = ${k}; ${entry.join(" ")} linear += g * delta[half + k]; }`),
      `let f = ${value}; let at = n * ${n}u + i; let was = Y[at];`,
      ...(updates
        ? [
          "var v = 0.0;",
          "if (r == exact) { v = exactly(r, at, f, was); } else { v = advance(r, at, f, linear, was, limit); }",
          "Y[at] = v; let next = v - was;",
        ]
        : ["let next = measure(f, linear, was);"]),
      `delta[${n}u - half + i] = next;`,
      "if (row + 1u == rows) { edge[i] = was; }",
    ]),
    `half = ${n}u - half;`,
    "workgroupBarrier();",
  ];
  return [
    ...place(spec),
    "var half = 0u;",
    ...each([
      `var s = ${start};`,
      ...(updates
        ? ["if (exact >= first) { s = 0.0; } else if ((bitcast<u32>(s) << 1u) != 0u) { changed = first - 1u; }"]
        : []),
      "delta[i] = s;",
    ]),
    ...(updates ? [`let limit = bitcast<f32>(${atomicWord("limit", "b")});`] : []),
    "workgroupBarrier();",
    ...overRows(spec, visit),
    ...(updates ? [] : ["if (last == P.rows) {", ...each([`CARRY[b * ${n}u + i] = delta[half + i];`]), "}"]),
    ...sinkText(sink).publish,
  ];
}

/**
 * s[t] = G[t] s[t-1] + (f(h[t-1]) - h[t]), f and what G is made of evaluated in place; a workgroup per chunk. Some rows are
 * evaluated together, then visited in order: reduce composes n + 1 columns with G in workgroup memory, to AGG, and keeps its
 * last row, which apply overwrites; apply goes from the exact start, h⁺ = f + G δ.
 *
 * Bytes a row: 4 (2 n + Z + X) in each phase, apply 4 n more: no array of T n². Operations: f and G in each phase, and
 * 2 n² (n + 1) and 2 n². Workgroup memory: {@linkcode denseTileWords} and the scratch of its rows, in words.
 */
export function emitDenseTile(spec: DenseTileSpec): DenseKernel {
  const { phase, sink, shape: { state: n, hoisted, input }, code, name, tile } = spec;
  const reduces = phase === "reduce";
  const main = reduces ? reduceMain(spec) : applyMain(spec);
  const functions = reduces ? [] : sinkText(sink).declarations;
  const kernel = assembleKernel({
    name: `${name} ${phase}`,
    header:
      `${name} ${phase}: a scan over dense matrices evaluated in place; a workgroup per chunk, ${tile.rows} rows at a time.
      Bindings: numbers, parameters and constants, hoisted values, inputs, start states, iterate, state of the sequences, then
      by phase. Bytes a row: ${4 * (2 * n + hoisted + input)}. Operations a row beside f and G: ${
        reduces ? 2 * n * n * (n + 1) : 2 * n * n
      }. Turns: ${denseTileTurns(spec).row} a row.`,
    bindings: denseBindings(spec),
    declarations: [
      INFO,
      `var<workgroup> W: array<f32, ${tile.rows * code.scratch}>;`,
      `var<workgroup> edge: array<f32, ${n}>;`,
      ...(reduces
        ? declareTileProduct({ size: n, lanes: tile.lanes })
        : ["var<workgroup> head: vec2<u32>;", `var<workgroup> delta: array<f32, ${2 * n}>;`]),
      ...functionsOf([...functions, ...main].join("\n")),
      ...functions,
    ],
    workgroup: tile.lanes,
    main,
  });
  return { ...kernel, arrays: denseArrays(spec) };
}
