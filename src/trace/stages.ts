import type { Node } from "./graph.ts";
import { topological } from "./graph.ts";
import type { StepProgram } from "./program.ts";

/** A value that is computed ahead, and the first of its elements in the row that holds it. */
export interface Slot {
  readonly node: Node;
  readonly offset: number;
}

/** What a kernel over (b, t) need not compute in its loop. */
export interface Stages {
  /** From parameters alone: once per solve. */
  readonly shared: readonly Slot[];
  readonly sharedSize: number;
  /** From x, t and parameters (the input projections): once per (b, t), before the first sweep. */
  readonly hoisted: readonly Slot[];
  readonly hoistedSize: number;
}

/** What a value depends on: parameters alone, the row too, or what the caller gives at each evaluation. */
export type Level = 0 | 1 | 2;

/**
 * Hoisting: splits what `outputs` need by what it depends on. Views of leaves and constants stay where they are; all else
 * that is free of h and δ is computed ahead, at the edge where it is used.
 */
export function hoist(outputs: readonly Node[], { h, delta, x, t }: StepProgram): Stages {
  return hoistAhead(outputs, (node) => node === h || node === delta ? 2 : node === x || node === t ? 1 : undefined);
}

/** The same by the levels of leaves, and of other values that are there already; a leaf without one is a parameter. */
export function hoistAhead(outputs: readonly Node[], levelOf: (node: Node) => Level | undefined): Stages {
  const level = new Map<Node, Level>();
  const order = topological(outputs, (node) => levelOf(node) !== undefined);
  for (const node of order) {
    level.set(node, levelOf(node) ?? Math.max(0, ...node.args.map((arg) => level.get(arg)!)) as Level);
  }
  const hoisted = new Set<Node>();
  const shared = new Set<Node>();
  const visit = (node: Node, user: 1 | 2): void => {
    const own = level.get(node)!;
    if (own >= user || node.op === "leaf" || node.op === "constant") return;
    // A strided view of parameters is copied: read contiguously in every step.
    const view = node.op === "reshape" || node.op === "broadcast" ||
      (node.op === "slice" && (own === 1 || node.attributes.stride === 1));
    if (view) visit(node.args[0]!, user);
    else (own === 1 ? hoisted : shared).add(node);
  };
  for (const output of outputs) visit(output, 2);
  for (const node of order) {
    if (level.get(node) === 2 && levelOf(node) === undefined) node.args.forEach((arg) => visit(arg, 2));
  }
  for (const node of topological([...hoisted])) {
    if (level.get(node) === 1) node.args.forEach((arg) => visit(arg, 1));
  }
  const [sharedSlots, sharedSize] = place(shared);
  const [hoistedSlots, hoistedSize] = place(hoisted);
  return { shared: sharedSlots, sharedSize, hoisted: hoistedSlots, hoistedSize };
}

function place(nodes: ReadonlySet<Node>): [Slot[], number] {
  let offset = 0;
  const slots: Slot[] = [];
  for (const node of nodes) {
    slots.push({ node, offset });
    offset += node.size;
  }
  return [slots, offset];
}
