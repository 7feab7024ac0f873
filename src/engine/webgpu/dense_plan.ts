import type { DenseSpec, DenseTurns } from "../../../kernels/dense.ts";
import { DENSE_LANES, denseLaneTurns, emitDenseLane } from "../../../kernels/dense_lane.ts";
import { type DenseTileSpec, denseTileTurns, denseTileWords, emitDenseTile } from "../../../kernels/dense_tile.ts";
import { type Kernel, MAX_TURNS } from "../../../kernels/kernel.ts";
import { tilesAcross } from "../../../kernels/tile_product.ts";
import { locateRow, type RowShape } from "../../../kernels/traced.ts";
import { createLaneDialect } from "../../trace/dialect_wgsl.ts";
import type { Node } from "../../trace/graph.ts";
import type { Term } from "../../trace/jacobian.ts";
import { memory, type Place, read } from "../../trace/places.ts";
import type { StepProgram } from "../../trace/program.ts";
import type { Transition } from "../../trace/transition.ts";
import { MAX_BLOCK, type TransitionEntries } from "../../trace/transition_entries.ts";
import { type ScanForm, scanForm } from "./scan_forms.ts";
import { printChannel, printLane, type PrintRequest, printTile, widestOf } from "./traced.ts";

/** The kernels of a scan over dense matrices that are evaluated in place. */
export interface DensePlan {
  readonly reduce: { readonly kernel: Kernel; readonly arrays: readonly string[] };
  /** Of one chunk, and of several. */
  readonly single: { readonly kernel: Kernel; readonly arrays: readonly string[] };
  readonly apply: { readonly kernel: Kernel; readonly arrays: readonly string[] };
  /** One invocation, or one workgroup, has a chunk. */
  readonly perGroup: number;
  /** Units of n × n matrices, n = D / units. */
  readonly units: number;
  readonly turns: DenseTurns;
}

/** Chunks that keep a large GPU busy: workgroups of tiles, or invocations. */
const WANTED = { tile: 2048, lane: 16384, channel: 65536 } as const;
/** A chunk costs products of matrices, and a place in the spine. */
const LEAST_ROWS = 32;

/** Of n = 1, where a chunk costs little. */
const LEAST_CHANNEL_ROWS = 64;

/** Rows of a chunk: enough chunks to be busy, none too short to pay, and no loop too long. */
export function planChunks(
  { perGroup, units, turns }: Pick<DensePlan, "perGroup" | "units" | "turns">,
  batch: number,
  rows: number,
  state: number,
): number {
  const most = Math.max(1, Math.floor((MAX_TURNS - turns.fixed) / turns.row));
  const busy = units > 1 ? WANTED.channel : perGroup === 1 ? WANTED.tile : WANTED.lane;
  const wanted = Math.ceil(busy / Math.max(1, batch * units));
  const least = units > 1 ? LEAST_CHANNEL_ROWS : Math.max(LEAST_ROWS, 2 * state);
  const wide = Math.max(least, Math.ceil(rows / wanted));
  // Two chunks do not pay for reading everything twice.
  return Math.min(most, rows <= 3 * wide ? Math.max(1, rows) : wide);
}

/** The scan over maps of chunks: those of a scan of matrices in memory. */
export function denseSpine(size: number): ScanForm {
  return scanForm(size <= MAX_BLOCK ? "lanes" : "tile", {
    sink: "update",
    matrix: "full",
    size,
    layout: "contiguous",
    reverse: false,
  });
}

/** Rows of workgroups' tiles are bounded by workgroup memory, of `words` words. */
export function planDense(
  request: PrintRequest,
  entries: Extract<TransitionEntries, { kind: "terms" | "columns" }>,
  options: {
    readonly name: string;
    readonly shape: RowShape;
    readonly transition: Transition;
    readonly sink: DenseSpec["sink"];
    readonly words: number;
  },
): DensePlan | null {
  const { name, shape, transition, sink, words } = options;
  const { program } = request;
  const n = program.state;
  const specOf = (code: DenseSpec["code"], places: ReadonlyMap<Node, Place>): Omit<DenseSpec, "phase" | "chunked"> => ({
    name,
    sink,
    shape,
    units: 1,
    code,
    value: read(places.get(program.output)!, "i"),
    entry: entryLines(program, entries, transition, sink === "absolute", places),
  });
  if (n <= MAX_BLOCK) {
    const { code, places } = printLane(request);
    return kernelsOf(specOf(code, places), emitDenseLane, DENSE_LANES, denseLaneTurns({ code }));
  }
  const locate = (scratch: string): string[] => [
    "let r = r0 + row;",
    ...locateRow(shape, "r"),
    `let w = row * ${scratch};`,
  ];
  const trial = printTile(request, { rows: 1, lanes: 32, scratch: "workgroup" }, locate("SCRATCH"));
  const room = Math.floor((words - denseTileWords(n)) / trial.code.scratch);
  if (room < 1) return null;
  const lanes = Math.min(256, 32 * Math.ceil(n * tilesAcross(n) / 32));
  const rows = Math.max(1, Math.min(room, Math.floor(2 * lanes / widestOf(request)), 16));
  const tile = { rows, lanes, scratch: "workgroup" } as const;
  const { code, places } = printTile(request, tile, locate(`${trial.code.scratch}u`));
  const spec = { ...specOf(code, places), tile };
  const turns = denseTileTurns({ ...spec, phase: "reduce", chunked: true });
  return kernelsOf<DenseTileSpec>(spec, emitDenseTile, 1, turns);
}

/** The same for an elementwise step, every state by itself; null where states mix. */
export function planChannels(
  request: PrintRequest,
  diagonal: Node,
  { name, shape, sink }: { readonly name: string; readonly shape: RowShape; readonly sink: DenseSpec["sink"] },
): DensePlan | null {
  const { program: { state, output } } = request;
  const printed = printChannel(request);
  if (printed === null) return null;
  const { code, places } = printed;
  const text = (node: Node): string => read(places.get(node)!, "u");
  const entry = [`let g = ${text(diagonal)};`];
  const spec = { name, sink, shape, units: state, code, value: text(output), entry };
  return kernelsOf(spec, emitDenseLane, DENSE_LANES, denseLaneTurns({ code }));
}

function kernelsOf<S extends DenseSpec>(
  spec: Omit<S, "phase" | "chunked">,
  emit: (spec: S) => Kernel & { readonly arrays: readonly string[] },
  perGroup: number,
  turns: DenseTurns,
): DensePlan {
  const make = (phase: "reduce" | "apply", chunked: boolean): DensePlan["reduce"] => {
    const { arrays, ...kernel } = emit({ ...spec, phase, chunked } as S);
    return { kernel, arrays };
  };
  const [reduce, single, apply] = [make("reduce", true), make("apply", false), make("apply", true)];
  return { reduce, single, apply, perGroup, units: spec.units, turns };
}

/** Statements that leave entry (i, k) of G in `g`, clipped, scaled and, for bounds, as its absolute value. */
function entryLines(
  program: StepProgram,
  entries: Extract<TransitionEntries, { kind: "terms" | "columns" }>,
  { kind, scale, clip, block, layout }: Transition,
  absolute: boolean,
  places: ReadonlyMap<Node, Place>,
): string[] {
  const n = program.state;
  const at = (node: Node, index: string): string => read(places.get(node)!, index);
  const lines = ["var g = 0.0;"];
  if (entries.kind === "columns") lines.push(`g = ${at(entries.transposed, `(k * ${n} + i)`)};`);
  else for (const term of entries.terms) lines.push(termLine(term, n, at));
  const dialect = createLaneDialect(() => memory("C"));
  if (clip !== Infinity) {
    const bound = dialect.literal(clip);
    lines.push(bound === null ? "" : `g = maxOf(minOf(g, ${bound}), -${bound});`);
  }
  if (scale !== 0) lines.push(`g = g * ${dialect.literal(1 - scale)};`);
  if (kind === "block") {
    const unit = (i: string): string => layout === "strided" ? `${i} % ${n / block!}u` : `${i} / ${block}u`;
    lines.push(`if (${unit("i")} != ${unit("k")}) { g = 0.0; }`);
  }
  if (absolute) lines.push("g = abs(g);");
  return lines;
}

function termLine(
  term: Exclude<Term, { kind: "product" }>,
  n: number,
  at: (node: Node, index: string) => string,
): string {
  const { row, column } = term;
  const [rows, columns] = term.kind === "diagonal"
    ? [term.values.size, term.values.size]
    : [term.left.size, term.right.size];
  const [i, k] = [row === 0 ? "i" : `(i - ${row}u)`, column === 0 ? "k" : `(k - ${column}u)`];
  const conditions = [
    ...(row > 0 ? [`i >= ${row}u`] : []),
    ...(row + rows < n ? [`i < ${row + rows}u`] : []),
    ...(term.kind === "diagonal"
      ? [row === column ? "i == k" : `i + ${column}u == k + ${row}u`]
      : [...(column > 0 ? [`k >= ${column}u`] : []), ...(column + columns < n ? [`k < ${column + columns}u`] : [])]),
  ];
  let text: string;
  if (term.kind === "diagonal") text = at(term.values, i);
  else if (term.kind === "outer") text = `${at(term.left, i)} * ${at(term.right, k)}`;
  else {
    const { matrix, start, down, right } = term.view;
    const entry = at(matrix, `(${start}u + ${i} * ${down}u + ${k} * ${right}u)`);
    text = `${at(term.left, i)} * ${entry} * ${at(term.right, k)}`;
  }
  // Not `&&`: SwiftShader's time to compile grows exponentially with short circuits in a loop.
  return conditions.length === 0
    ? `g += ${text};`
    : `if (${conditions.map((test) => `(${test})`).join(" & ")}) { g += ${text}; }`;
}
