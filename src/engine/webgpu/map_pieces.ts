import { slice } from "../../trace/build.ts";
import { isElementwise } from "../../trace/elementwise.ts";
import { type Node, topological } from "../../trace/graph.ts";
import type { Piece } from "./map_plan.ts";

/** Values that one kernel writes: element by element, all of `elements` elements, or (null) row by row. */
export interface PieceGroup {
  readonly elements: number | null;
  readonly pieces: readonly Piece[];
}

/** Of a value in more parts its rows are evaluated as they are. */
const MOST_PARTS = 16;

/** Values by how they are evaluated; what consists of elementwise parts side by side is written part by part. */
export function groupPieces(pieces: readonly Piece[], isThere: (node: Node) => boolean): PieceGroup[] {
  const byWidth = new Map<number | null, Piece[]>();
  const put = (elements: number | null, piece: Piece): void => {
    byWidth.set(elements, [...(byWidth.get(elements) ?? []), piece]);
  };
  for (const piece of pieces) {
    const parts = elementParts(piece, isThere);
    if (parts === null) put(null, piece);
    else for (const part of parts) put(part.node.size, part);
  }
  return [...byWidth].map(([elements, pieces]) => ({ elements, pieces }));
}

function elementParts({ node, array, offset }: Piece, isThere: (node: Node) => boolean): Piece[] | null {
  const bounds = [...new Set([0, ...cutsOf(node, isThere, new Map()), node.size])].sort((a, b) => a - b);
  if (bounds.length > MOST_PARTS + 1) return null;
  const parts = bounds.slice(1).map((end, k): Piece => {
    const start = bounds[k]!;
    return { node: slice(node, start, end - start), array, offset: offset + start };
  });
  return parts.every((part) => isElements(part.node, isThere)) ? parts : null;
}

/** Where the parts of a value begin that were put side by side. */
function cutsOf(
  node: Node,
  isThere: (node: Node) => boolean,
  known: Map<Node, ReadonlySet<number>>,
): ReadonlySet<number> {
  const found = known.get(node);
  if (found !== undefined) return found;
  const cuts = new Set<number>();
  const inside = (arg: Node, first: number): void => {
    for (const cut of cutsOf(arg, isThere, known)) cuts.add(first + cut);
  };
  const { start = 0, stride = 1 } = node.attributes;
  if (!isThere(node)) {
    if (isElementwise(node.op) || node.op === "reshape") {
      for (const arg of node.args) if (arg.size === node.size) inside(arg, 0);
    } else if (node.op === "concat") {
      let first = 0;
      for (const arg of node.args) {
        cuts.add(first);
        inside(arg, first);
        first += arg.size;
      }
    } else if (node.op === "pad" && stride === 1) {
      const [arg] = node.args as [Node];
      cuts.add(start).add(start + arg.size);
      inside(arg, start);
    }
  }
  known.set(node, cuts);
  return cuts;
}

/** Whether every value on the way has one element for each of the result, or a single one: nothing puts elements elsewhere. */
function isElements(result: Node, isThere: (node: Node) => boolean): boolean {
  return topological([result], isThere).every((node) => {
    if (isThere(node) || node.op === "leaf" || node.op === "constant") return true;
    if (node.op === "slice") return isInMemory(node.args[0]!, isThere);
    if (node.op === "reshape" || node.op === "broadcast") return true;
    return isElementwise(node.op);
  });
}

/** Whether a value is a view of memory, so that any element of it can be read. */
function isInMemory(node: Node, isThere: (node: Node) => boolean): boolean {
  if (isThere(node)) return true;
  if (node.op === "constant") return node.attributes.data !== undefined;
  return (node.op === "slice" || node.op === "reshape") && isInMemory(node.args[0]!, isThere);
}
