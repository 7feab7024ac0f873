import type { Node } from "./graph.ts";
import { topological } from "./graph.ts";
import { isElementwise } from "./elementwise.ts";
import type { Dialect } from "./dialect.ts";
import { endingAt, type Role } from "./lifetimes.ts";
import { type Place, read } from "./places.ts";
import { emitBlocks } from "./print_blocks.ts";
import { emitSmallMatrix } from "./print_matrices.ts";

/**
 * Prints code that computes `outputs`, given where the leaves are; afterwards `places` says where every computed value is.
 * Code runs in stages: local statements, then one fused loop for each vector length, then products and reductions. Where the
 * dialect takes memory back, values that are not read any more have no place.
 */
export function printCode(outputs: readonly Node[], places: Map<Node, Place>, dialect: Dialect): string[] {
  const order = topological(outputs, (node) => places.has(node)).filter((node) => !places.has(node));
  const roles = new Map<Node, Role>(order.map((node) => [node, roleOf(node, dialect)]));
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
  const stageCount = 1 + Math.max(-1, ...stages.values());
  const byStage = Array.from({ length: stageCount }, (): Node[] => []);
  for (const node of order) byStage[stages.get(node)!]!.push(node);
  const ending = dialect.release === undefined ? [] : endingAt(order, roles, stages, outputs);
  for (const [stage, nodes] of byStage.entries()) {
    const before = lines.length;
    for (const node of nodes) {
      const role = roles.get(node);
      if (role === "constant") places.set(node, constantPlace(node, dialect));
      else if (role === "view") places.set(node, viewPlace(node, places.get(node.args[0]!)!));
      else if (role === "local") places.set(node, emitLocal(node, places, lines, dialect));
    }
    const lengths = new Set(nodes.filter((node) => roles.get(node) === "loop").map((node) => node.size));
    for (const length of lengths) {
      const group = nodes.filter((node) => roles.get(node) === "loop" && node.size === length);
      emitLoop(group, stored, places, lines, dialect);
    }
    emitBlocks(nodes.filter((node) => roles.get(node) === "block"), places, lines, dialect);
    if (lines.length > before) dialect.sync(lines);
    for (const node of ending[stage] ?? []) {
      // What a fused loop did not store has none.
      const [role, place] = [roles.get(node)!, places.get(node)];
      if (role === "constant" || role === "local" || place?.kind !== "memory") continue;
      // Its memory is another value's from now on, also that of its views.
      places.delete(node);
      if (role !== "view") dialect.release?.(place, node.size);
    }
  }
  return lines;
}

function roleOf(node: Node, { straight }: Dialect): Role {
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
      const small = node.size <= straight && node.args.every((arg) => arg.size <= straight);
      if (isElementwise(node.op)) return node.size <= straight ? "local" : "loop";
      return small && node.op !== "columns" && !node.op.startsWith("matvec") ? "local" : "block";
    }
  }
}

function constantPlace(node: Node, dialect: Dialect): Place {
  const { value, data } = node.attributes;
  const texts = data === undefined
    ? [dialect.literal(value!)]
    : data.length <= dialect.straight
    ? Array.from(data, dialect.literal)
    : null;
  if (texts === null || texts.includes(null)) {
    const place = dialect.constant(data ?? Float64Array.of(value!));
    return data === undefined ? { kind: "same", text: read(place, 0) } : place;
  }
  return data === undefined ? { kind: "same", text: texts[0]! } : { kind: "locals", texts: texts as string[] };
}

function viewPlace(node: Node, base: Place): Place {
  const { start = 0, stride = 1 } = node.attributes;
  if (node.op === "broadcast") return { kind: "same", text: read(base, 0) };
  if (node.op === "reshape" || base.kind === "same") return base;
  if (base.kind === "memory") {
    const { unless } = base;
    const view = { ...base, first: base.first + base.stride * start, stride: base.stride * stride };
    return unless === undefined ? view : { ...view, unless: { ...unless, place: viewPlace(node, unless.place) } };
  }
  return { kind: "locals", texts: Array.from({ length: node.size }, (_, i) => base.texts[start + i * stride]!) };
}

/** Straight code for a short value of short operands. */
function emitLocal(node: Node, places: ReadonlyMap<Node, Place>, lines: string[], dialect: Dialect): Place {
  const args = node.args.map((arg) => places.get(arg)!);
  const element = (k: number, i: number): string => read(args[k]!, node.args[k]!.size === 1 ? 0 : i);
  const all = (k: number): string[] => Array.from({ length: node.args[k]!.size }, (_, i) => element(k, i));
  const { start = 0, stride = 1 } = node.attributes;
  let texts: string[];
  switch (node.op) {
    case "matmul":
    case "transpose":
    case "linearSolve":
    case "logDet":
      return emitSmallMatrix(node, node.args.map((_, k) => all(k)), lines, dialect);
    case "concat":
      return { kind: "locals", texts: args.flatMap((_, k) => all(k)) };
    case "pad": {
      texts = Array.from({ length: node.size }, () => dialect.literal(0)!);
      all(0).forEach((text, i) => texts[start + i * stride] = text);
      return { kind: "locals", texts };
    }
    case "sum":
      texts = [all(0).join(" + ")];
      break;
    case "maximum":
      texts = [all(0).reduce((a, b) => dialect.element("max", [a, b]))];
      break;
    case "outer":
      texts = all(0).flatMap((a) => all(1).map((b) => `${a} * ${b}`));
      break;
    default:
      texts = Array.from(
        { length: node.size },
        (_, i) => printElement(node, node.args.map((_, k) => element(k, i)), dialect),
      );
  }
  const names = texts.map((_, i) => `v${node.id}_${i}`);
  lines.push(texts.map((text, i) => dialect.define(names[i]!, text)).join(" "));
  return { kind: "locals", texts: names };
}

function printElement(node: Node, operands: readonly string[], dialect: Dialect): string {
  if (!isElementwise(node.op)) throw new Error(`${node.op} is not elementwise`);
  return dialect.element(node.op, operands);
}

/** One loop for all elementwise values of a stage and length; only what is used outside is stored. */
function emitLoop(
  group: readonly Node[],
  stored: ReadonlySet<Node>,
  places: Map<Node, Place>,
  lines: string[],
  dialect: Dialect,
): void {
  const inside = new Set(group);
  const done: [Node, Place][] = [];
  dialect.each(lines, "i", group[0]!.size, () => {
    for (const node of group) {
      const operands = node.args.map((arg) =>
        inside.has(arg) ? `v${arg.id}` : read(places.get(arg)!, arg.shape.length === 0 ? 0 : "i")
      );
      lines.push(dialect.define(`v${node.id}`, printElement(node, operands, dialect)));
      if (!stored.has(node)) continue;
      const place = dialect.scratch(node.size);
      lines.push(`${read(place, "i")} = v${node.id};`);
      done.push([node, place]);
    }
  });
  for (const [node, place] of done) places.set(node, place);
}
