import { dependents, type Node } from "./graph.ts";
import type { Dialect } from "./dialect.ts";
import { isIndexable, type Place, read } from "./places.ts";
import { printCode } from "./print.ts";
import { emitLogDet } from "./print_log_det.ts";
import { emitMatmul, emitTranspose } from "./print_matrices.ts";
import { emitMatvec, emitMatvecTransposed } from "./print_products.ts";
import { emitSolve } from "./print_solve.ts";

/** Products and reductions; products with the same matrix share one pass over it, equations their elimination. */
export function emitBlocks(nodes: readonly Node[], places: Map<Node, Place>, lines: string[], dialect: Dialect): void {
  const products = new Map<Node, Node[]>();
  const systems = new Map<Node, Node[]>();
  for (const node of nodes) {
    const args = node.args.map((arg) => places.get(arg)!);
    if (node.op === "matvec") {
      const matrix = node.args[0]!;
      products.set(matrix, [...(products.get(matrix) ?? []), node]);
    } else if (node.op === "linearSolve") {
      systems.set(node.args[0]!, [...(systems.get(node.args[0]!) ?? []), node]);
    } else if (node.op === "matvecTransposed") {
      const place = dialect.scratch(node.size);
      emitMatvecTransposed(node, args[0]!, args[1]!, place, lines, dialect);
      places.set(node, place);
    } else places.set(node, emitBlock(node, args, places, lines, dialect));
  }
  for (const [matrix, group] of systems) {
    const outs = group.map(({ size }) => dialect.scratch(size));
    const sides = group.map((node, k) => ({ from: places.get(node.args[1]!)!, x: outs[k]!, size: node.size }));
    emitSolve(group[0]!, places.get(matrix)!, sides, lines, dialect);
    group.forEach((node, k) => places.set(node, outs[k]!));
  }
  for (const [matrix, group] of products) {
    const outs = group.map((node): Place => {
      if (node.size > dialect.straight) return dialect.scratch(node.size);
      return { kind: "locals", texts: Array.from({ length: node.size }, (_, i) => `v${node.id}_${i}`) };
    });
    const vectors = group.map((node) => places.get(node.args[1]!)!);
    emitMatvec(group[0]!, places.get(matrix)!, vectors, outs, lines, dialect);
    group.forEach((node, k) => places.set(node, outs[k]!));
  }
}

/** Longer reductions are shared by lanes. */
const ALONE = 64;

/** The sum or maximum of all elements; lanes that share the work hand it on through scratch memory. */
function emitReduction(node: Node, a: Place, lines: string[], dialect: Dialect): Place {
  const name = `v${node.id}`;
  const sum = node.op === "sum";
  const count = node.args[0]!.size;
  const next = (text: string): string =>
    `${name} = ${sum ? `${name} + ${text}` : dialect.element("max", [name, text])};`;
  const fold = (from: Place, size: number): void => {
    lines.push(dialect.variable(name, sum ? dialect.literal(0)! : read(from, 0)));
    dialect.repeat(lines, "k", size, () => lines.push(next(read(from, "k"))));
  };
  if (!dialect.cooperative) {
    fold(a, count);
    return { kind: "same", text: name };
  }
  let [from, size] = [a, count];
  if (count > ALONE) {
    // Each of about √n lanes takes every so many elements, neighbours neighbouring ones.
    size = Math.ceil(Math.sqrt(count));
    from = dialect.scratch(size);
    const whole = Math.floor(count / size);
    dialect.each(lines, "i", size, () => {
      lines.push(dialect.variable(name, read(a, "i")));
      dialect.repeat(lines, "k", whole - 1, () => lines.push(next(read(a, `(k + 1) * ${size} + i`))));
      if (whole * size < count) {
        lines.push(`if (i < ${count - whole * size}) { ${next(read(a, `${whole * size} + i`))} }`);
      }
      lines.push(`${read(from, "i")} = ${name};`);
    });
    dialect.sync(lines);
  }
  const out = dialect.scratch(1);
  dialect.each(lines, "i", 1, () => {
    fold(from, size);
    lines.push(`${read(out, 0)} = ${name};`);
  });
  return out;
}

/** Zeros, and the elements of `a` at their places: two loops for one thread, a choice in one for many. */
function emitPad(node: Node, a: Place, out: Place & { kind: "memory" }, lines: string[], dialect: Dialect): void {
  const { start = 0, stride = 1 } = node.attributes;
  const count = node.args[0]!.size;
  const zero = dialect.literal(0)!;
  if (!dialect.cooperative) {
    dialect.each(lines, "i", node.size, () => lines.push(`${read(out, "i")} = ${zero};`));
    emitCopy(a, count, { ...out, first: out.first + start, stride }, lines, dialect);
    return;
  }
  dialect.each(lines, "i", node.size, () => {
    const last = start + (count - 1) * stride;
    const inside = [`i >= ${start}`, `i <= ${last}`, ...(stride === 1 ? [] : [`(i - ${start}) % ${stride} == 0`])];
    lines.push(dialect.variable("padded", zero));
    lines.push(
      `if (${inside.map((test) => `(${test})`).join(" & ")}) { padded = ${read(a, `(i - ${start}) / ${stride}`)}; }`,
    );
    lines.push(`${read(out, "i")} = padded;`);
  });
}

function emitOuter(node: Node, a: Place, b: Place, out: Place, lines: string[], dialect: Dialect): void {
  const [m, n] = node.shape as [number, number];
  if (dialect.cooperative) {
    const product = `${read(a, `i / ${n}`)} * ${read(b, `i % ${n}`)}`;
    dialect.each(lines, "i", m * n, () => lines.push(`${read(out, "i")} = ${product};`));
    return;
  }
  emitEach(a, m, "i", lines, dialect, (i) =>
    emitEach(b, n, "j", lines, dialect, (j) => {
      const at = typeof i === "number" && typeof j === "number" ? i * n + j : `${i} * ${n} + ${j}`;
      lines.push(`${read(out, at)} = ${read(a, i)} * ${read(b, j)};`);
    }));
}

/** The body once for every row of the seeds. */
function emitColumns(
  node: Node,
  places: ReadonlyMap<Node, Place>,
  out: Place & { kind: "memory" },
  lines: string[],
  dialect: Dialect,
): void {
  const { body, seed, data } = node.attributes;
  const c = `c${node.id}`;
  const inner = new Map(places);
  // What depends on the seed is another value in every turn, also where the kernel has it for a δ of its own.
  for (const varying of dependents(body!, seed!)) inner.delete(varying);
  const along = (place: Place & { kind: "memory" }, width: number): Place => ({
    ...place,
    base: [place.base, `${c} * ${width}`].filter((term) => term !== "").join(" + "),
  });
  inner.set(seed!, along(dialect.constant(data!) as Place & { kind: "memory" }, seed!.size));
  dialect.repeat(lines, c, node.shape[0]!, () => {
    lines.push(...printCode([body!], inner, dialect));
    emitCopy(inner.get(body!)!, body!.size, along(out, body!.size), lines, dialect);
    dialect.sync(lines);
  });
}

function emitBlock(
  node: Node,
  args: readonly Place[],
  places: ReadonlyMap<Node, Place>,
  lines: string[],
  dialect: Dialect,
): Place {
  const [a, b] = args as [Place, Place];
  if (node.op === "sum" || node.op === "maximum") return emitReduction(node, a, lines, dialect);
  if (node.op === "logDet") return emitLogDet(node, a, lines, dialect);
  const out = dialect.scratch(node.size) as Place & { kind: "memory" };
  if (node.op === "matmul") emitMatmul(node, a, b, out, lines, dialect);
  else if (node.op === "transpose") emitTranspose(node, a, out, lines, dialect);
  else if (node.op === "outer") emitOuter(node, a, b, out, lines, dialect);
  else if (node.op === "pad") emitPad(node, a, out, lines, dialect);
  else if (node.op === "columns") emitColumns(node, places, out, lines, dialect);
  else if (node.op === "concat") {
    let first = out.first;
    for (const [k, arg] of node.args.entries()) {
      emitCopy(args[k]!, arg.size, { ...out, first }, lines, dialect);
      first += arg.size;
    }
  } else throw new Error(`no code for ${node.op}`);
  return out;
}

/** `emit(i)` for every element of a place: in a loop where it can be indexed, else once each. */
function emitEach(
  place: Place,
  size: number,
  index: string,
  lines: string[],
  dialect: Dialect,
  emit: (i: number | string) => void,
): void {
  if (!isIndexable(place)) { for (let i = 0; i < size; i++) emit(i); }
  else dialect.each(lines, index, size, () => emit(index));
}

/** Statements that copy the first `size` elements. */
export function emitCopy(from: Place, size: number, to: Place, lines: string[], dialect: Dialect): void {
  emitEach(from, size, "i", lines, dialect, (i) => lines.push(`${read(to, i)} = ${read(from, i)};`));
}
