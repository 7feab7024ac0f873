import { type Kernel, MAX_TURNS } from "../../../kernels/kernel.ts";
import { emitMap, locateMap, type MapRead, type MapSpec, mapTurns } from "../../../kernels/map.ts";
import type { TileShape } from "../../../kernels/traced.ts";
import {
  createChannelDialect,
  createLaneDialect,
  createTileDialect,
  type WgslDialect,
} from "../../trace/dialect_wgsl.ts";
import { type Node, topological } from "../../trace/graph.ts";
import { memory, type Place, read } from "../../trace/places.ts";
import { printCode } from "../../trace/print.ts";
import { MAX_BLOCK } from "../../trace/transition_entries.ts";
import { WORKGROUP_WORDS } from "./evaluation.ts";
import type { Slot } from "./map_layout.ts";
import type { PieceGroup } from "./map_pieces.ts";
import type { EvaluateStep, MapPlan, Piece } from "./map_plan.ts";
import { declareChannels, indexLines, planTile } from "./traced.ts";

/** Of longer vectors one invocation does not add up or multiply a row alone. */
const MOST_LANE_TERMS = 64;

/** A kernel of a map, what is bound to it, and how it is dispatched. */
export interface MapKernel {
  readonly spec: MapSpec;
  readonly kernel: Kernel;
  readonly slots: readonly Slot[];
  /** Numbers of the arrays that it writes. */
  readonly outputs: readonly number[];
  /** Turns of its loops for one tile. */
  readonly turns: number;
}

/** What a kernel is printed for. */
export interface MapRequest {
  readonly plan: MapPlan;
  readonly name: string;
  readonly step: EvaluateStep;
  readonly group: PieceGroup;
  readonly slots: readonly Slot[];
  /** Whether the start of an input was given. */
  readonly isGiven: (array: number) => boolean;
  /** There is one row only. */
  readonly single: boolean;
}

/** What is there of all that the values need. */
export function readNodes(pieces: readonly Piece[], { readings }: EvaluateStep): Node[] {
  return topological(pieces.map(({ node }) => node), (node) => readings.has(node)).filter((node) => readings.has(node));
}

/** Places of all that is read. */
function locateInputs(request: MapRequest): { reads: MapRead[]; places: Map<Node, Place> } {
  const { plan: { arrays, program }, step, group, slots, isGiven } = request;
  const bound = (array: number): { array: number; offset: number } => {
    const slot = slots.findIndex(({ members }) => members.some((member) => member.array === array));
    return { array: slot, offset: slots[slot]!.members.find((member) => member.array === array)!.offset };
  };
  const reads: MapRead[] = [];
  const places = new Map<Node, Place>([[program.t, { kind: "same", text: "t" }]]);
  for (const node of readNodes(group.pieces, step)) {
    const { array, offset, start } = step.readings.get(node)!;
    const { shift } = arrays[array]!;
    const row = bound(array);
    const k = reads.length;
    const before = start !== null && isGiven(start) ? { ...bound(start), size: node.size } : null;
    reads.push({ array: row.array, offset: row.offset + offset, shift, start: before });
    const place = memory(`A${row.array}`, `read${k}`) as Place & { kind: "memory" };
    const outside: Place = before === null ? { kind: "same", text: "0.0" } : memory(`A${before.array}`, `start${k}`);
    places.set(node, shift === 0 ? place : { ...place, unless: { test: `outside${k}`, place: outside } });
  }
  return { reads, places };
}

/** Code and where its values are; of those that are stored, every element by an index `i`. */
interface Printed {
  readonly code: MapSpec["code"];
  readonly places: ReadonlyMap<Node, Place>;
  readonly form: MapSpec["form"];
}

/** The kernel of a group of values. */
export function printMap(request: MapRequest): MapKernel {
  const { plan, name, step, group: { elements, pieces }, slots, single } = request;
  const { reads, places } = locateInputs(request);
  const nodes = [...new Set(pieces.map(({ node }) => node))];
  const outputs = [...new Set(pieces.map(({ array }) => array))];
  let usesConstants = false;
  const constant = (data: Float64Array): Place => {
    usesConstants = true;
    return plan.constants.place(data, `A${slots.length}`);
  };
  const print = (dialect: WgslDialect): Omit<Printed, "form"> => {
    const all = new Map(places);
    const lines = printCode(nodes, all, dialect);
    if (!dialect.cooperative) lines.push(...indexLines(nodes, all, dialect));
    return { code: { lines, scratch: dialect.scratchWords, turns: dialect.turns }, places: all };
  };
  const printRows = (): Printed => {
    const { widest, terms } = widthsOf(nodes, step, plan);
    if (widest <= MAX_BLOCK && terms <= MOST_LANE_TERMS && !single) {
      return { ...print(createLaneDialect(constant)), form: { tile: null } };
    }
    const located = locateMap({ arrays: arraysOf(slots), reads });
    // Scratch is known once the code is printed, and what it needs decides how many rows fit.
    const trial = print(tileDialect(constant, { rows: 1, lanes: 32, scratch: "workgroup" }, located, 0));
    const words = trial.code.scratch;
    const tile = planTile(words, widest, single ? 1 : 64, WORKGROUP_WORDS);
    return { ...print(tileDialect(constant, tile, located, words)), form: { tile } };
  };
  const printElements = (elements: number): Printed => {
    const dialect = createChannelDialect(constant, elements);
    const { code, places } = print(dialect);
    if (dialect.mixes) throw new Error(`elements mix in "${name}"`);
    return { code: { ...code, lines: declareChannels(code.lines) }, places, form: { elements } };
  };
  const { code, places: made, form } = elements === null ? printRows() : printElements(elements);
  const bound = usesConstants ? [...slots, constantSlot(plan)] : slots;
  const spec: MapSpec = {
    name,
    arrays: arraysOf(bound),
    reads,
    outputs: outputs.map((array) => plan.arrays[array]!.size),
    code,
    stores: pieces.map(({ node, array, offset }) => ({
      output: outputs.indexOf(array),
      offset,
      count: node.size,
      text: read(made.get(node)!, "i"),
    })),
    form,
  };
  const turns = mapTurns(spec);
  if (turns > MAX_TURNS) {
    throw new RangeError(
      `Cannot map "${plan.program.name}": a row takes ${turns} turns of loops, and drivers stop after ${MAX_TURNS}; ` +
        "use shorter vectors",
    );
  }
  return { spec, kernel: emitMap(spec), slots: bound, outputs, turns };
}

function arraysOf(slots: readonly Slot[]): MapSpec["arrays"] {
  return slots.map(({ kind, width }) => ({ kind, width }));
}

function constantSlot({ constantArray }: MapPlan): Slot {
  return { kind: "parameter", width: 0, members: [{ array: constantArray, offset: 0 }], packed: false };
}

function tileDialect(
  constant: (data: Float64Array) => Place,
  { rows, lanes, scratch }: TileShape,
  located: readonly string[],
  words: number,
): WgslDialect {
  const base = scratch === "storage" ? `group * ${words}u + ` : "";
  const locate = ["let r = r0 + row;", ...located, `let w = ${base}row * ${words}u;`];
  const barrier = scratch === "storage" ? "storageBarrier();" : "workgroupBarrier();";
  return createTileDialect(constant, { rows, lanes, reserved: 0, locate, barrier });
}

/** The longest value that is computed, up to where lanes would idle for the others, and the longest that is summed up. */
function widthsOf(nodes: readonly Node[], { readings }: EvaluateStep, { program }: MapPlan): {
  readonly widest: number;
  readonly terms: number;
} {
  const own = topological(nodes, (node) => readings.has(node))
    .filter((node) => !readings.has(node) && node.op !== "constant" && node !== program.t);
  const result = Math.max(1, ...nodes.map(({ size }) => size));
  const sizes = own.map(({ size }) => size);
  const blocks = own.filter(({ op }) => !["slice", "reshape", "broadcast"].includes(op));
  return {
    widest: Math.max(result, ...sizes.filter((size) => size <= 4 * result)),
    terms: Math.max(1, ...blocks.flatMap(({ args }) => args.map(({ size }) => size))),
  };
}
