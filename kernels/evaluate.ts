import { functionsOf } from "./functions.ts";
import { assembleKernel, type Kernel } from "./kernel.ts";
import { stateWord, STATUS } from "./sequence.ts";
import {
  eachElement,
  elementTurns,
  INFO,
  locateRow,
  type RowShape,
  type TileShape,
  TRACED_BINDINGS,
  type TracedCode,
} from "./traced.ts";

/** A value that is written for every row: `OUT[offset + width row + index] = text`, both in terms of `i`. */
export interface Store {
  readonly count: number;
  readonly width: number;
  /** Words before the first row: 0, or `P.second`. */
  readonly offset: "0u" | "P.second";
  readonly index: string;
  readonly text: string;
}

/** What a kernel over rows computes. */
export interface EvaluateSpec {
  readonly name: string;
  readonly shape: RowShape;
  readonly code: TracedCode;
  readonly stores: readonly Store[];
  /** h of row r: none (`Y` then holds a product), the same `START` of a sequence for all rows, or the iterate `Y` before r. */
  readonly previous: "none" | "start" | "iterate";
  /** Sequences that are not running, and rows that are exact, are left out. */
  readonly skip: boolean;
  /** Null: one invocation evaluates a row. */
  readonly tile: TileShape | null;
}

const BINDINGS = [
  ...TRACED_BINDINGS,
  { name: "START", kind: "read", type: "array<f32>" },
  { name: "Y", kind: "read", type: "array<f32>" },
  { name: "S", kind: "read", type: "array<u32>" },
  { name: "OUT", kind: "read_write", type: "array<f32>" },
] as const;

/** Rows of a workgroup that evaluates one row an invocation. */
export const LANE_ROWS = 64;

/** Turns of all loops for one tile. */
export function evaluateTurns({ code, tile, stores, shape }: EvaluateSpec): number {
  if (tile === null) return stores.reduce((sum, { count }) => sum + count + 1, code.turns);
  return 1 + code.turns + elementTurns(tile, shape.state) +
    stores.reduce((sum, { count }) => sum + elementTurns(tile, count), 0);
}

const previousText = ({ previous, shape: { state } }: EvaluateSpec, i: string): string => {
  const start = `START[b * ${state}u + ${i}]`;
  if (previous === "start") return `let previous = ${start};`;
  return `var previous = ${start}; if (r > 0u) { previous = Y[(n - 1u) * ${state}u + ${i}]; }`;
};

/**
 * Evaluates a traced function at all rows (b, r) of a window: hoisted values, f at one state, or f and the entries of G at
 * the iterate.
 *
 * Reads h, Z, X and the parameters once (from caches for all but the first row), writes the stores: 4 (D + Z + X + stores)
 * bytes a row; operations are those of the function. Each tile is one workgroup; with scratch in storage a workgroup takes
 * every so many tiles.
 */
export function emitEvaluate(spec: EvaluateSpec): Kernel {
  const { name, shape, code, stores, previous, skip, tile } = spec;
  const bindings = tile?.scratch === "storage"
    ? [...BINDINGS, { name: "W", kind: "read_write", type: "array<f32>" } as const]
    : BINDINGS;
  const running = `${stateWord("status", "b")} != ${STATUS.running}u`;
  const main: string[] = [];
  const declarations = [INFO];
  if (tile === null) {
    declarations.push(`var<private> W: array<f32, ${Math.max(1, code.scratch)}>;`);
    main.push(
      `let index = P.first + group * ${LANE_ROWS}u + lane;`,
      "if (index >= P.batch * P.rows) { return; }",
      "let b = index / P.rows; let r = index % P.rows;",
      skip ? `if (${running} || r < ${stateWord("exact", "b")}) { return; }` : "",
      ...locateRow(shape, "r"),
    );
    if (previous !== "none") {
      for (let i = 0; i < shape.state; i++) {
        main.push(`{ ${previousText(spec, `${i}u`)} W[${i}] = previous; }`);
      }
    }
    main.push(...code.lines);
    for (const { count, width, offset, index, text } of stores) {
      main.push(`for (var i = 0u; i < ${count}u; i++) { OUT[${offset} + n * ${width}u + ${index}] = ${text}; }`);
    }
  } else {
    const { rows, scratch } = tile;
    const locate = [
      "let r = r0 + row;",
      ...locateRow(shape, "r"),
      `let w = ${scratch === "storage" ? `group * ${rows * code.scratch}u + ` : ""}row * ${code.scratch}u;`,
    ];
    const barrier = scratch === "storage" ? "storageBarrier();" : "workgroupBarrier();";
    if (scratch === "workgroup") {
      declarations.push(`var<workgroup> W: array<f32, ${rows * Math.max(1, code.scratch)}>;`);
    }
    main.push(
      `let tiles = (P.rows + ${rows - 1}u) / ${rows}u;`,
      "for (var turn = 0u; turn < P.count; turn++) {",
      "let tileIndex = P.first + turn * groups.x * groups.y + group;",
      "if (tileIndex >= tiles * P.batch) { break; }",
      `let b = tileIndex / tiles; let r0 = (tileIndex % tiles) * ${rows}u;`,
      `let rows = min(${rows}u, P.rows - r0);`,
      skip ? `if (${running} || r0 + rows <= ${stateWord("exact", "b")}) { continue; }` : "",
      ...(previous === "none"
        ? []
        : eachElement(tile, shape.state, locate, [previousText(spec, "i"), "W[w + i] = previous;"])),
      barrier,
      ...code.lines,
    );
    for (const { count, width, offset, index, text } of stores) {
      main.push(...eachElement(tile, count, locate, [`OUT[${offset} + n * ${width}u + ${index}] = ${text};`]));
    }
    main.push(barrier, "}");
  }
  return assembleKernel({
    name,
    header: `${name}: a traced function at all rows of a window, ${
      tile === null ? "one row an invocation" : `${tile.rows} rows a workgroup`
    }.
      Bindings: numbers, parameters and constants, hoisted values, inputs, start states, iterate, state of the sequences, output${
      tile?.scratch === "storage" ? ", scratch" : ""
    }.
      Bytes a row: ${4 * (shape.state + shape.hoisted + shape.input + stores.reduce((sum, s) => sum + s.count, 0))}.`,
    bindings,
    declarations: [...declarations, ...functionsOf([...main].join("\n"))],
    workgroup: tile === null ? LANE_ROWS : tile.lanes,
    main,
  });
}
