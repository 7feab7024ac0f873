import { functionsOf } from "./functions.ts";
import { assembleKernel, type Kernel } from "./kernel.ts";
import { eachElement, elementTurns, type TileShape, type TracedBinding, type TracedCode } from "./traced.ts";

/** Rows of a workgroup that evaluates one row an invocation. */
export const LANE_ROWS = 64;

/** So many elements of a row are written without a loop. */
const STRAIGHT = 8;

/** Statements for each of `count` elements of a row, in terms of their index `i`. */
export interface RowElements {
  readonly count: number;
  readonly lines: readonly string[];
}

/** A kernel that evaluates traced code at the rows `r < P.rows` of the sequences `b < P.batch`. */
export interface RowKernelSpec {
  readonly name: string;
  readonly header: string;
  readonly bindings: readonly TracedBinding[];
  /** The struct of the uniform `P`, which has `batch`, `rows`, `first` and `count` among its fields. */
  readonly info: string;
  readonly code: TracedCode;
  /** Null: one invocation evaluates a row. */
  readonly tile: TileShape | null;
  /** Statements that locate row `r` of sequence `b`: what code and elements read. */
  readonly locate: readonly string[];
  /** Which rows are left out, in terms of `b` and `r`, of a tile of its last row `r`; absent: none. */
  readonly without?: string | undefined;
  /** What is loaded before the code runs, and what is stored after it. */
  readonly loads: readonly RowElements[];
  readonly stores: readonly RowElements[];
}

/** Turns of all loops for one row, or one tile. */
export function rowTurns(
  { code, tile, loads, stores }: Pick<RowKernelSpec, "code" | "tile" | "loads" | "stores">,
): number {
  const elements = [...loads, ...stores];
  if (tile === null) return elements.reduce((sum, { count }) => sum + count + 1, code.turns);
  return 1 + code.turns + elements.reduce((sum, { count }) => sum + elementTurns(tile, count), 0);
}

/** One row an invocation, or tiles of rows a workgroup; with scratch in storage a workgroup takes every so many tiles. */
export function emitRows(spec: RowKernelSpec): Kernel {
  const { name, header, bindings, info, code, tile, locate } = spec;
  const inStorage = tile?.scratch === "storage";
  const main = tile === null ? laneLines(spec) : tileLines(spec, tile);
  const words = Math.max(1, code.scratch);
  const scratch = tile === null
    ? `var<private> W: array<f32, ${words}>;`
    : inStorage
    ? ""
    : `var<workgroup> W: array<f32, ${tile.rows * words}>;`;
  return assembleKernel({
    name,
    header,
    bindings: inStorage ? [...bindings, { name: "W", kind: "read_write", type: "array<f32>" }] : bindings,
    declarations: [info, scratch, ...functionsOf([...locate, ...main].join("\n"))],
    workgroup: tile === null ? LANE_ROWS : tile.lanes,
    main,
  });
}

function laneLines({ code, locate, without, loads, stores }: RowKernelSpec): string[] {
  // Private arrays with numbers for indices are registers.
  const each = ({ count, lines }: RowElements): string[] =>
    count > STRAIGHT
      ? [`for (var i = 0u; i < ${count}u; i++) {`, ...lines, "}"]
      : Array.from({ length: count }, (_, i) => [`{ let i = ${i}u;`, ...lines, "}"]).flat();
  return [
    `let index = P.first + group * ${LANE_ROWS}u + lane;`,
    "if (index >= P.batch * P.rows) { return; }",
    "let b = index / P.rows; let r = index % P.rows;",
    without === undefined ? "" : `if (${without}) { return; }`,
    ...locate,
    ...loads.flatMap(each),
    ...code.lines,
    ...stores.flatMap(each),
  ];
}

function tileLines({ code, locate, without, loads, stores }: RowKernelSpec, tile: TileShape): string[] {
  const { rows, scratch } = tile;
  const located = [
    "let r = r0 + row;",
    ...locate,
    `let w = ${scratch === "storage" ? `group * ${rows * code.scratch}u + ` : ""}row * ${code.scratch}u;`,
  ];
  const barrier = scratch === "storage" ? "storageBarrier();" : "workgroupBarrier();";
  const each = ({ count, lines }: RowElements): string[] => eachElement(tile, count, located, lines);
  return [
    `let tiles = (P.rows + ${rows - 1}u) / ${rows}u;`,
    "for (var turn = 0u; turn < P.count; turn++) {",
    "let tileIndex = P.first + turn * groups.x * groups.y + group;",
    "if (tileIndex >= tiles * P.batch) { break; }",
    `let b = tileIndex / tiles; let r0 = (tileIndex % tiles) * ${rows}u;`,
    `let rows = min(${rows}u, P.rows - r0);`,
    without === undefined ? "" : `{ let r = r0 + rows - 1u; if (${without}) { continue; } }`,
    ...loads.flatMap(each),
    barrier,
    ...code.lines,
    ...stores.flatMap(each),
    barrier,
    "}",
  ];
}
