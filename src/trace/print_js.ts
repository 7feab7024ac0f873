import type { Node } from "./graph.ts";
import { topological } from "./graph.ts";
import { ELEMENTWISE, isElementwise } from "./elementwise.ts";
import { emitBlocks } from "./print_js_blocks.ts";

/** Vectors of at most this many elements become local variables and straight code, longer ones loops over scratch. */
export const UNROLL = 4;

/** Where the elements of a value are to be read. */
export type Place =
  /** `name[base + first + stride i]` */
  | {
    readonly kind: "memory";
    readonly name: string;
    readonly base: string;
    readonly first: number;
    readonly stride: number;
  }
  /** One expression for each element. */
  | { readonly kind: "locals"; readonly texts: readonly string[] }
  /** One expression for all elements. */
  | { readonly kind: "same"; readonly text: string };

/** Memory `name[base + i]`; `base` is the name of an integer variable, or empty. */
export function memory(name: string, base = "", first = 0): Place {
  return { kind: "memory", name, base, first, stride: 1 };
}

/** Element `i` of a place, a number or the text of an integer expression. */
export function read(place: Place, i: number | string): string {
  if (place.kind === "same") return place.text;
  if (place.kind === "locals") return place.texts[Number(i)]!;
  const { name, base, stride } = place;
  let first = place.first;
  let moving = "";
  if (typeof i === "number") first += stride * i;
  else moving = stride === 1 ? i : `${stride} * (${i})`;
  const terms = [base, moving, first === 0 ? "" : String(first)].filter((term) => term !== "");
  return `${name}[${terms.join(" + ") || "0"}]`;
}

/** Whether element i may be read with an index known only at run time. */
export const isIndexable = (place: Place): boolean => place.kind !== "locals";

/** What printed code needs beside its text: scratch memory `W`, and the constant arrays `K`. */
export interface Resources {
  scratch: number;
  readonly constants: Float64Array[];
}

/** How a value comes to be: which statements, and in which phase of its stage. */
type Role = "constant" | "view" | "local" | "loop" | "block";

/**
 * Prints straight-line JavaScript that computes `outputs`, given where the leaves are; afterwards `places` says where
 * every computed value is. Code runs in stages: local statements, then one fused loop for each vector length, then
 * products and reductions. No allocation, no call beyond Math.
 */
export function printJs(outputs: readonly Node[], places: Map<Node, Place>, resources: Resources): string[] {
  const order = topological(outputs, (node) => places.has(node)).filter((node) => !places.has(node));
  const roles = new Map<Node, Role>(order.map((node) => [node, roleOf(node)]));
  const stages = new Map<Node, number>();
  for (const node of order) {
    let stage = 0;
    for (const arg of node.args) {
      const role = roles.get(arg);
      if (role === undefined || role === "constant") continue;
      const together = role === "local" || role === "view" ||
        (role === "loop" && roles.get(node) === "loop" && arg.size === node.size);
      stage = Math.max(stage, stages.get(arg)! + (together ? 0 : 1));
    }
    stages.set(node, stage);
  }
  const stored = new Set<Node>(outputs);
  for (const node of order) {
    for (const arg of node.args) {
      const fused = roles.get(node) === "loop" && roles.get(arg) === "loop" && arg.size === node.size &&
        stages.get(arg) === stages.get(node);
      if (!fused) stored.add(arg);
    }
  }
  const lines: string[] = [];
  const allocate = (size: number): Place => {
    const place = memory("W", "", resources.scratch);
    resources.scratch += size;
    return place;
  };
  const stageCount = 1 + Math.max(-1, ...stages.values());
  const byStage = Array.from({ length: stageCount }, (): Node[] => []);
  for (const node of order) byStage[stages.get(node)!]!.push(node);
  for (const nodes of byStage) {
    for (const node of nodes) {
      const role = roles.get(node);
      if (role === "constant") places.set(node, constantPlace(node, resources));
      else if (role === "view") places.set(node, viewPlace(node, places.get(node.args[0]!)!));
      else if (role === "local") places.set(node, emitLocal(node, places, lines));
    }
    const lengths = new Set(nodes.filter((node) => roles.get(node) === "loop").map((node) => node.size));
    for (const length of lengths) {
      const group = nodes.filter((node) => roles.get(node) === "loop" && node.size === length);
      emitLoop(group, stored, places, allocate, lines);
    }
    emitBlocks(nodes.filter((node) => roles.get(node) === "block"), places, allocate, resources, lines);
  }
  return lines;
}

function roleOf(node: Node): Role {
  switch (node.op) {
    case "constant":
      return "constant";
    case "slice":
    case "reshape":
    case "broadcast":
      return "view";
    case "leaf":
      throw new Error(`the leaf "${node.attributes.name}" has no place`);
    default: {
      const small = node.size <= UNROLL && node.args.every((arg) => arg.size <= UNROLL);
      if (isElementwise(node.op)) return node.size <= UNROLL ? "local" : "loop";
      return small && node.op !== "columns" && !node.op.startsWith("matvec") ? "local" : "block";
    }
  }
}

function constantPlace(node: Node, { constants }: Resources): Place {
  const { value, data } = node.attributes;
  if (data === undefined) return { kind: "same", text: literal(value!) };
  if (data.length <= UNROLL) return { kind: "locals", texts: Array.from(data, literal) };
  constants.push(data);
  return memory(`K${constants.length - 1}`);
}

function literal(value: number): string {
  return Object.is(value, -0) ? "(-0)" : value < 0 ? `(${value})` : String(value);
}

function viewPlace(node: Node, base: Place): Place {
  const { start = 0, stride = 1 } = node.attributes;
  if (node.op === "broadcast") return { kind: "same", text: read(base, 0) };
  if (node.op === "reshape" || base.kind === "same") return base;
  if (base.kind === "memory") return { ...base, first: base.first + base.stride * start, stride: base.stride * stride };
  return { kind: "locals", texts: Array.from({ length: node.size }, (_, i) => base.texts[start + i * stride]!) };
}

/** Straight code for a short value of short operands. */
function emitLocal(node: Node, places: ReadonlyMap<Node, Place>, lines: string[]): Place {
  const args = node.args.map((arg) => places.get(arg)!);
  const element = (k: number, i: number): string => read(args[k]!, node.args[k]!.size === 1 ? 0 : i);
  const all = (k: number): string[] => Array.from({ length: node.args[k]!.size }, (_, i) => element(k, i));
  const { start = 0, stride = 1 } = node.attributes;
  let texts: string[];
  switch (node.op) {
    case "concat":
      return { kind: "locals", texts: args.flatMap((_, k) => all(k)) };
    case "pad": {
      texts = Array.from({ length: node.size }, () => "0");
      all(0).forEach((text, i) => texts[start + i * stride] = text);
      return { kind: "locals", texts };
    }
    case "sum":
      texts = [all(0).join(" + ")];
      break;
    case "maximum":
      texts = [`max(${all(0).join(", ")})`];
      break;
    case "outer":
      texts = all(0).flatMap((a) => all(1).map((b) => `${a} * ${b}`));
      break;
    default:
      if (!isElementwise(node.op)) throw new Error(`no straight code for ${node.op}`);
      texts = Array.from({ length: node.size }, (_, i) => printElement(node, node.args.map((_, k) => element(k, i))));
  }
  const names = texts.map((_, i) => `v${node.id}_${i}`);
  lines.push(`const ${texts.map((text, i) => `${names[i]} = ${text}`).join(", ")};`);
  return { kind: "locals", texts: names };
}

function printElement(node: Node, operands: readonly string[]): string {
  if (!isElementwise(node.op)) throw new Error(`${node.op} is not elementwise`);
  return ELEMENTWISE[node.op].js(operands[0]!, operands[1] ?? "", operands[2] ?? "");
}

/** One loop for all elementwise values of a stage and length; only what is used outside is stored. */
function emitLoop(
  group: readonly Node[],
  stored: ReadonlySet<Node>,
  places: Map<Node, Place>,
  allocate: (size: number) => Place,
  lines: string[],
): void {
  const inside = new Set(group);
  lines.push(`for (let i = 0; i < ${group[0]!.size}; i++) {`);
  const done: [Node, Place][] = [];
  for (const node of group) {
    const operands = node.args.map((arg) =>
      inside.has(arg) ? `v${arg.id}` : read(places.get(arg)!, arg.shape.length === 0 ? 0 : "i")
    );
    lines.push(`const v${node.id} = ${printElement(node, operands)};`);
    if (!stored.has(node)) continue;
    const place = allocate(node.size);
    lines.push(`${read(place, "i")} = v${node.id};`);
    done.push([node, place]);
  }
  lines.push("}");
  for (const [node, place] of done) places.set(node, place);
}
