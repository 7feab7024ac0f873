import { dependents, type Node } from "./graph.ts";
import { isIndexable, memory, type Place, printJs, read, type Resources, UNROLL } from "./print_js.ts";
import { emitMatvec, emitMatvecTransposed } from "./print_js_products.ts";

/** Products and reductions; products with the same matrix share one pass over it. */
export function emitBlocks(
  nodes: readonly Node[],
  places: Map<Node, Place>,
  allocate: (size: number) => Place,
  resources: Resources,
  lines: string[],
): void {
  const products = new Map<Node, Node[]>();
  for (const node of nodes) {
    const args = node.args.map((arg) => places.get(arg)!);
    if (node.op === "matvec") {
      const matrix = node.args[0]!;
      products.set(matrix, [...(products.get(matrix) ?? []), node]);
    } else if (node.op === "matvecTransposed") {
      const place = allocate(node.size);
      emitMatvecTransposed(node, args[0]!, args[1]!, place, lines);
      places.set(node, place);
    } else places.set(node, emitBlock(node, args, places, allocate, resources, lines));
  }
  for (const [matrix, group] of products) {
    const outs = group.map((node): Place => {
      if (node.size > UNROLL) return allocate(node.size);
      return { kind: "locals", texts: Array.from({ length: node.size }, (_, i) => `v${node.id}_${i}`) };
    });
    emitMatvec(matrix, places.get(matrix)!, group.map((node) => places.get(node.args[1]!)!), outs, lines);
    group.forEach((node, k) => places.set(node, outs[k]!));
  }
}

function emitBlock(
  node: Node,
  args: readonly Place[],
  places: ReadonlyMap<Node, Place>,
  allocate: (size: number) => Place,
  resources: Resources,
  lines: string[],
): Place {
  const [a, b] = args as [Place, Place];
  if (node.op === "sum" || node.op === "maximum") {
    const name = `v${node.id}`;
    const next = node.op === "sum" ? `${name} + ${read(a, "i")}` : `max(${name}, ${read(a, "i")})`;
    lines.push(`let ${name} = ${node.op === "sum" ? 0 : "-Infinity"};`);
    lines.push(`for (let i = 0; i < ${node.args[0]!.size}; i++) ${name} = ${next};`);
    return { kind: "same", text: name };
  }
  const out = allocate(node.size) as Place & { kind: "memory" };
  switch (node.op) {
    case "outer": {
      const [m, n] = node.shape as [number, number];
      emitEach(a, m, "i", lines, (i) =>
        emitEach(b, n, "j", lines, (j) => {
          const at = typeof i === "number" && typeof j === "number" ? i * n + j : `${i} * ${n} + ${j}`;
          lines.push(`${read(out, at)} = ${read(a, i)} * ${read(b, j)};`);
        }));
      return out;
    }
    case "concat": {
      let first = out.first;
      for (const [k, arg] of node.args.entries()) {
        emitCopy(args[k]!, arg.size, { ...out, first }, lines);
        first += arg.size;
      }
      return out;
    }
    case "pad": {
      const { start = 0, stride = 1 } = node.attributes;
      lines.push(`for (let i = 0; i < ${node.size}; i++) ${read(out, "i")} = 0;`);
      emitCopy(a, node.args[0]!.size, { ...out, first: out.first + start, stride }, lines);
      return out;
    }
    case "columns": {
      const { body, seed, data } = node.attributes;
      resources.constants.push(data!);
      const c = `c${node.id}`;
      const inner = new Map(places);
      // What depends on the seed is another value in every turn, also where the kernel has it for a δ of its own.
      for (const varying of dependents(body!, seed!)) inner.delete(varying);
      inner.set(seed!, memory(`K${resources.constants.length - 1}`, `${c} * ${seed!.size}`));
      lines.push(`for (let ${c} = 0; ${c} < ${node.shape[0]}; ${c}++) {`);
      lines.push(...printJs([body!], inner, resources));
      emitCopy(inner.get(body!)!, body!.size, { ...out, base: `${c} * ${body!.size}` }, lines);
      lines.push("}");
      return out;
    }
    default:
      throw new Error(`no code for ${node.op}`);
  }
}

/** `emit(i)` for every element of a place: in a loop where it can be indexed, else once each. */
function emitEach(
  place: Place,
  size: number,
  index: string,
  lines: string[],
  emit: (i: number | string) => void,
): void {
  if (!isIndexable(place)) { for (let i = 0; i < size; i++) emit(i); }
  else {
    lines.push(`for (let ${index} = 0; ${index} < ${size}; ${index}++) {`);
    emit(index);
    lines.push("}");
  }
}

function emitCopy(from: Place, size: number, to: Place, lines: string[]): void {
  emitEach(from, size, "i", lines, (i) => lines.push(`${read(to, i)} = ${read(from, i)};`));
}
