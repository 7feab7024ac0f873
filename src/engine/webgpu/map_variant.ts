import { topological } from "../../trace/graph.ts";
import { type MapKernel, printMap, readNodes } from "./map_code.ts";
import { layOut, packSlots, type Slot } from "./map_layout.ts";
import { groupPieces, type PieceGroup } from "./map_pieces.ts";
import type { EvaluateStep, MapPlan, Piece, ProductStep } from "./map_plan.ts";

/** Storage buffers that a kernel may bind, by WebGPU's default limits. */
const MOST_BUFFERS = 8;

/** A plan with kernels, for jobs whose memories are alike: the same given or left out, the same equal to each other. */
export interface MapVariant {
  readonly shared: readonly MapKernel[];
  readonly steps: readonly (ProductStep | readonly MapKernel[])[];
}

/** Memory by number, for every array of a plan: equal for equal memory, -1 for what was not given. */
export type MemoryNumbers = readonly number[];

/** Compiles the kernels of a plan. */
export function makeVariant(plan: MapPlan, memories: MemoryNumbers): MapVariant {
  const { program: { name } } = plan;
  const numbers = [...memories];
  const shared = kernelsOf(plan, plan.shared, numbers, `${name} map shared`, true);
  const steps = plan.steps.map((step) => {
    if (step.kind === "evaluate") return kernelsOf(plan, step, numbers, `${name} map`, false);
    // Products with what is not there are not there.
    for (const { from, to } of step.ways) if (numbers[from] === -1) numbers[to] = -1;
    return { ...step, ways: step.ways.filter(({ from }) => numbers[from] !== -1) };
  });
  return { shared, steps };
}

/** The kernels of one step: as few as bindings allow. */
function kernelsOf(
  plan: MapPlan,
  step: EvaluateStep,
  memories: MemoryNumbers,
  name: string,
  single: boolean,
): MapKernel[] {
  const isGiven = (array: number): boolean => memories[array] !== -1;
  const slotsOf = (pieces: readonly Piece[]): Slot[] => {
    const used = new Set<number>();
    for (const node of readNodes(pieces, step)) {
      const { array, start } = step.readings.get(node)!;
      used.add(array);
      if (start !== null && isGiven(start)) used.add(start);
    }
    return layOut(plan, used, (array) => memories[array]!);
  };
  return groupPieces(step.pieces, (node) => step.readings.has(node)).flatMap(({ elements, pieces }) => {
    // The scratch of workgroups is one more.
    const room = MOST_BUFFERS - Number(needsConstants(pieces, step)) - Number(elements === null);
    return splitOutputs(pieces, room, slotsOf).map(([slots, pieces]) => {
      const group: PieceGroup = { elements, pieces };
      return printMap({ plan, name, step, group, slots, isGiven, single });
    });
  });
}

/** Whether code may read constants from memory: those without a text. */
function needsConstants(pieces: readonly Piece[], { readings }: EvaluateStep): boolean {
  return topological(pieces.map(({ node }) => node), (node) => readings.has(node)).some((node) => {
    const { data, value = 0 } = node.attributes;
    if (node.op === "constant") return data !== undefined || !Number.isFinite(Math.fround(value));
    return node.op === "columns" || node.op === "linearSolve" || node.op === "logDet";
  });
}

/** Pieces with the bindings that their kernel reads, by outputs; where one alone reads too many arrays, they are packed. */
function splitOutputs(
  pieces: readonly Piece[],
  room: number,
  slotsOf: (pieces: readonly Piece[]) => Slot[],
): (readonly [slots: readonly Slot[], pieces: readonly Piece[]])[] {
  const outputs = [...new Set(pieces.map(({ array }) => array))]
    .map((array) => pieces.filter((piece) => piece.array === array));
  const joined: (readonly Piece[])[] = [];
  if (outputs.every((output) => slotsOf(output).length < room)) {
    let count = 0;
    for (const output of outputs) {
      const together = [...(joined.at(-1) ?? []), ...output];
      if (count > 0 && slotsOf(together).length + count + 1 <= room) joined[joined.length - 1] = together;
      else [count] = [0, joined.push(output)];
      count++;
    }
    return joined.map((pieces) => [slotsOf(pieces), pieces]);
  }
  const slots = packSlots(slotsOf(pieces), Math.max(3, room - outputs.length));
  const most = room - slots.length;
  for (let k = 0; k < outputs.length; k += most) joined.push(outputs.slice(k, k + most).flat());
  return joined.map((pieces) => [slots, pieces]);
}
