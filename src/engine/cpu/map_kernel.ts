import type { HostArray } from "../../core/types.ts";
import type { Node } from "../../trace/graph.ts";
import { isIndexable, memory, type Place, read } from "../../trace/places.ts";
import type { StepProgram } from "../../trace/program.ts";
import type { Slot, Stages } from "../../trace/stages.ts";
import { compileKernel, inputPlaces, type KernelArrays, printBody, unpack } from "./kernel.ts";

/** Writes `rows` rows of outputs, from the given first elements of each array; `h` is the same in every row. */
export type MapKernel = (
  arrays: KernelArrays,
  out: HostArray,
  h: HostArray,
  first: { readonly z: number; readonly x: number; readonly out: number; readonly h: number; readonly t: number },
  rows: number,
) => void;

/** Compiles a kernel that writes the given values, each at its offset, into rows of `width` elements. */
export function compileMap(
  program: StepProgram,
  stages: Stages,
  outputs: readonly Slot[],
  width: number,
): MapKernel {
  const places = inputPlaces(program, stages);
  places.set(program.h, memory("H", "h"));
  const { lines, use } = printBody(outputs.map(({ node }) => node), places);
  const store = outputs.flatMap(({ node, offset }) => storeLines(node, places.get(node)!, memory("OUT", "o", offset)));
  return compileKernel("arrays, OUT, H, first, rows", [
    unpack(program),
    "let z = first.z, x = first.x, o = first.out, t = first.t;",
    "const h = first.h;",
    "for (let r = 0; r < rows; r++) {",
    ...lines,
    ...store,
    `z += ${stages.hoistedSize}; x += ${program.input}; o += ${width}; t++;`,
    "}",
  ], use);
}

/** Statements that copy a value to memory. */
export function storeLines(node: Node, from: Place, to: Place): string[] {
  if (isIndexable(from)) return [`for (let i = 0; i < ${node.size}; i++) ${read(to, "i")} = ${read(from, "i")};`];
  return Array.from({ length: node.size }, (_, i) => `${read(to, i)} = ${read(from, i)};`);
}
