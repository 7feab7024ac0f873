import type { TileShape, TracedCode } from "../../../kernels/traced.ts";
import {
  createChannelDialect,
  createLaneDialect,
  createTileDialect,
  type WgslDialect,
} from "../../trace/dialect_wgsl.ts";
import { isElementwise } from "../../trace/elementwise.ts";
import { type Node, topological } from "../../trace/graph.ts";
import { isIndexable, memory, type Place, read } from "../../trace/places.ts";
import { printCode } from "../../trace/print.ts";
import type { StepProgram } from "../../trace/program.ts";
import type { Slot, Stages } from "../../trace/stages.ts";
import { Constants } from "./constants.ts";

/** One buffer of all that kernels read of a step beside its rows: parameters, values from them, constants. */
export class ParameterPack {
  /** First words of the parameters, in their order. */
  readonly offsets: readonly number[];
  readonly sharedOffset: number;
  readonly #constants: Constants;

  constructor({ params }: Pick<StepProgram, "params">, readonly sharedSize: number) {
    const offsets: number[] = [];
    let words = 0;
    for (const { leaf } of params) {
      offsets.push(words);
      words += leaf.size;
    }
    this.offsets = offsets;
    this.sharedOffset = words;
    this.#constants = new Constants(words + sharedSize);
  }

  get words(): number {
    return this.#constants.words;
  }

  get constants(): Constants["entries"] {
    return this.#constants.entries;
  }

  /** Their words, which follow those of parameters and values from them. */
  packConstants(): Float32Array<ArrayBuffer> {
    return this.#constants.pack();
  }

  /** Where an array of constants is. */
  place(data: Float64Array): Place {
    return this.#constants.place(data, "C");
  }
}

/** Printed code, and where its outputs are. */
export interface PrintedCode {
  readonly code: TracedCode;
  readonly places: ReadonlyMap<Node, Place>;
}

/** What a kernel evaluates. */
export interface PrintRequest {
  readonly program: StepProgram;
  readonly stages: Stages;
  readonly pack: ParameterPack;
  readonly outputs: readonly Node[];
  /** A value that was made before, by a kernel of its own. */
  readonly made?: { readonly node: Node; readonly place: Place } | undefined;
  /** Whether h, and after it δ, are in the first words of scratch. */
  readonly given: 0 | 1 | 2;
}

/** Places of all that a kernel finds in memory. */
function inputPlaces({ program, stages, pack, given, made }: PrintRequest, base: string): Map<Node, Place> {
  const places = new Map<Node, Place>();
  for (const [i, { leaf }] of program.params.entries()) places.set(leaf, memory("C", "", pack.offsets[i]));
  const put = (slots: readonly Slot[], name: string, base: string, first: number): void => {
    for (const { node, offset } of slots) places.set(node, memory(name, base, first + offset));
  };
  put(stages.shared, "C", "", pack.sharedOffset);
  put(stages.hoisted, "Z", "z", 0);
  places.set(program.x, memory("X", "x")).set(program.t, { kind: "same", text: "t" });
  if (made !== undefined) places.set(made.node, made.place);
  if (given > 0) places.set(program.h, memory("W", base, 0));
  if (given > 1) places.set(program.delta, memory("W", base, program.state));
  return places;
}

/** Outputs that are parts of h or δ themselves are copied: kernels overwrite these while they read those. */
function detach(request: PrintRequest, places: Map<Node, Place>, lines: string[], dialect: WgslDialect): void {
  const reserved = request.given * request.program.state;
  let copied = false;
  for (const node of new Set(request.outputs)) {
    const from = places.get(node)!;
    if (from.kind !== "memory" || from.name !== "W" || from.first >= reserved) continue;
    const to = dialect.scratch(node.size);
    dialect.each(lines, "i", node.size, () => lines.push(`${read(to, "i")} = ${read(from, "i")};`));
    places.set(node, to);
    copied = true;
  }
  if (copied) dialect.sync(lines);
}

function print(request: PrintRequest, base: string, dialect: WgslDialect): PrintedCode {
  const places = inputPlaces(request, base);
  const lines = printCode(request.outputs, places, dialect);
  detach(request, places, lines, dialect);
  return { code: { lines, scratch: dialect.scratchWords, turns: dialect.turns }, places };
}

/** Code for one invocation. */
export function printLane(request: PrintRequest): PrintedCode {
  const dialect = createLaneDialect((data) => request.pack.place(data), request.given * request.program.state);
  const { code, places } = print(request, "", dialect);
  const all = new Map(places);
  const lines = [...code.lines, ...indexLines(request.outputs, all, dialect)];
  return { code: { lines, scratch: dialect.scratchWords, turns: dialect.turns }, places: all };
}

/** Short values are names; stores and products want to index them: statements that bring them to scratch. */
export function indexLines(outputs: readonly Node[], places: Map<Node, Place>, dialect: WgslDialect): string[] {
  const lines: string[] = [];
  for (const node of outputs) {
    const place = places.get(node)!;
    if (isIndexable(place)) continue;
    const to = dialect.scratch(node.size);
    for (let i = 0; i < node.size; i++) lines.push(`${read(to, i)} = ${read(place, i)};`);
    places.set(node, to);
  }
  return lines;
}

/** Code for one invocation that evaluates state `u` alone; null where states, or other elements, mix. */
export function printChannel(request: PrintRequest): PrintedCode | null {
  const { program, outputs, pack } = request;
  const dialect = createChannelDialect((data) => pack.place(data), program.state);
  const places = inputPlaces(request, "");
  places.set(program.h, { kind: "same", text: "W[0]" });
  const own = topological(outputs, (node) => places.has(node)).filter((node) => !places.has(node));
  const h = dependentsOf(own, program.h);
  if (own.some((node) => h.has(node) && !isElementwise(node.op))) return null;
  const lines = printCode(outputs, places, dialect);
  if (dialect.mixes) return null;
  return { code: { lines: declareChannels(lines), scratch: 1, turns: 0 }, places };
}

/** Values of one element that blocks hand on to others are declared before all of them. */
export function declareChannels(lines: readonly string[]): string[] {
  const names = new Set(lines.flatMap((line) => line.match(/^channel\d+(?= = )/) ?? []));
  return [...[...names].map((name) => `var ${name} = 0.0;`), ...lines];
}

function dependentsOf(nodes: readonly Node[], leaf: Node): Set<Node> {
  const found = new Set<Node>([leaf]);
  for (const node of nodes) if (node.args.some((arg) => found.has(arg))) found.add(node);
  return found;
}

/** Code for a workgroup. */
export function printTile(
  request: PrintRequest,
  { rows, lanes, scratch }: TileShape,
  locate: readonly string[],
): PrintedCode {
  return print(
    request,
    "w",
    createTileDialect((data) => request.pack.place(data), {
      rows,
      lanes,
      reserved: request.given * request.program.state,
      locate,
      barrier: scratch === "storage" ? "storageBarrier();" : "workgroupBarrier();",
    }),
  );
}

/** The longest vector that is computed on the way to the outputs: lanes beyond it idle. */
export function widestOf({ outputs, program, stages }: PrintRequest): number {
  const ahead = new Set([...stages.shared, ...stages.hoisted].map(({ node }) => node));
  const nodes = topological(outputs, (node) => ahead.has(node)).filter((node) => !ahead.has(node));
  const sizes = nodes.filter(({ op }) => op !== "leaf" && op !== "constant").map(({ size }) => size);
  return Math.max(1, program.state, ...sizes.filter((size) => size <= 4 * program.state));
}

/** Rows and lanes of tiles for code of so many words of scratch a row. */
export function planTile(words: number, width: number, most: number, workgroupWords: number): TileShape {
  const room = Math.floor(workgroupWords / Math.max(1, words));
  if (room < 1) return { rows: 1, lanes: lanesFor(width), scratch: "storage" };
  const rows = Math.max(1, Math.min(most, room, Math.floor(256 / width)));
  return { rows, lanes: lanesFor(rows * width), scratch: "workgroup" };
}

function lanesFor(items: number): number {
  return Math.max(32, Math.min(256, 32 * Math.ceil(items / 32)));
}
