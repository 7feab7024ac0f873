// What is proven of ∂f/∂h, and its terms, against differences of f on plain numbers.

import { assert, assertEquals } from "@std/assert";
import type { JacobianStructure } from "../../mod.ts";
import { programOf } from "../../src/step.ts";
import { structuredJacobian } from "../../src/trace/jacobian.ts";
import { entriesAlong } from "../../src/trace/jacobian_entries.ts";
import { provePattern } from "../../src/trace/pattern.ts";
import { assertClose, compileNodes, runNodes, traceBody } from "./helpers.ts";
import { numericJacobian } from "./reference.ts";
import { pointOf, stepCases } from "./steps.ts";

/** Units: straight code, and loops. */
const UNITS = [3, 20];
/** Differences of fourth order at h = 1e-3: h⁴ f⁽⁵⁾ and eps / h, both about 1e-12, times entries of products. */
const TOLERANCE = { relative: 1e-9, absolute: 1e-9 };

/** Whether entry (i, j) may be other than 0. */
function mayBeNonzero(structure: JacobianStructure, state: number, i: number, j: number): boolean {
  if (typeof structure === "string") return structure === "dense" || (structure === "diagonal" && i === j);
  const { block, layout } = structure;
  const unit = (k: number): number => layout === "strided" ? k % (state / block) : Math.floor(k / block);
  return unit(i) === unit(j);
}

for (const n of UNITS) {
  for (const { name, step, jacobian, structured, affine, f } of stepCases(n)) {
    const program = programOf(step);
    const { state, h, output, trace, tangent } = program;

    Deno.test(`jacobian: ${name} of ${n} units has the structure that is proven`, () => {
      const point = pointOf(program);
      assertClose(runNodes([output], point)[0]!, f(point.get(h)!), { absolute: 1e-13 }, "f");
      assertEquals(step.jacobian, jacobian);
      assertEquals(program.affine, affine);
      const numeric = numericJacobian(f, point.get(h)!);
      for (const [i, row] of numeric.entries()) {
        for (const [j, entry] of row.entries()) {
          // What f does not depend on changes nothing at all: the difference is 0 exactly.
          if (!mayBeNonzero(jacobian, state, i, j)) assertEquals(entry, 0, `entry (${i}, ${j})`);
        }
      }
      const delta = Array.from({ length: state }, (_, j) => Math.cos(j));
      const expected = numeric.map((row) => row.reduce((sum, entry, j) => sum + entry * delta[j]!, 0));
      if (tangent === null) assertClose(expected, expected.map(() => 0), {}, "no tangent");
      else assertClose(runNodes([tangent], point.set(program.delta, delta))[0]!, expected, TOLERANCE, "tangent");
    });

    Deno.test(`jacobian: ${name} of ${n} units is ${structured ? "" : "not "}a sum of terms`, () => {
      const terms = trace.run(() => structuredJacobian(output, h));
      assertEquals(terms !== null, structured);
      if (terms === null) return;
      const point = pointOf(program);
      const numeric = numericJacobian(f, point.get(h)!);
      const entries = Array.from({ length: state * state }, (_, e) => {
        return trace.run(() => entriesAlong(terms, Math.floor(e / state), e % state, 1, 1));
      });
      const values = compileNodes(entries, [...point.keys()])(...point.values());
      // Null is a proof that the entry is 0.
      assertClose(values.map(([entry = 0]) => entry), numeric.flat(), TOLERANCE, "entries");
      // Runs of entries: diagonals, and planes of blocks, with every other entry.
      for (const [row, column, stride] of [[0, 0, 1], [1, 0, 1], [0, 2, 1], [0, 1, 2], [1, 1, 2]] as const) {
        const length = Math.ceil((state - Math.max(row, column)) / stride);
        if (length < 1) continue;
        const run = trace.run(() => entriesAlong(terms, row, column, stride, length));
        const [actual] = run === null ? [new Array<number>(length).fill(0)] : runNodes([run], point);
        const expected = Array.from({ length }, (_, u) => numeric[row + u * stride]![column + u * stride]!);
        assertClose(actual!, expected, TOLERANCE, `entries along (${row}, ${column}) by ${stride}`);
      }
    });
  }
}

Deno.test("jacobian: the units of a cell are tied by elementwise paths only", () => {
  const units = new Map(stepCases(20).map(({ name, step }) => [name, programOf(step).units]));
  assertEquals(units.get("gru"), { kind: "diagonal" });
  assertEquals(units.get("elman"), { kind: "zero" });
  assertEquals(units.get("lstm"), { kind: "block", block: 2, layout: "strided" });
  assertEquals(units.get("oscillators"), { kind: "block", block: 2, layout: "strided" });
  assertEquals(units.get("pairs"), { kind: "block", block: 2, layout: "contiguous" });
});

Deno.test("jacobian: the proof takes the smallest block, and of two layouts the one that covers", () => {
  const pattern = (groups: (i: number) => number, size: number) => {
    const { leaves, output } = traceBody((o, h) => {
      const rows = Array.from({ length: size }, (_, i) => {
        const mates = Array.from({ length: size }, (_, j) => j).filter((j) => groups(i) === groups(j));
        return o.sum(o.concat(...mates.map((j) => o.sin(o.slice(h!, j, j + 1)))));
      });
      return o.concat(...rows);
    }, [[size]]);
    return provePattern(output, leaves[0]!);
  };
  assertEquals(pattern((i) => i, 12), { kind: "diagonal" });
  assertEquals(pattern((i) => i % 4, 12), { kind: "block", block: 3, layout: "strided" });
  assertEquals(pattern((i) => Math.floor(i / 3), 12), { kind: "block", block: 3, layout: "contiguous" });
  assertEquals(pattern((i) => Math.floor(i / 6), 12), { kind: "block", block: 6, layout: "contiguous" });
  assertEquals(pattern((i) => i % 2, 70), { kind: "block", block: 35, layout: "strided" });
  assertEquals(pattern((i) => i % 5 < 2 ? 0 : i, 10), { kind: "dense" });
  assertEquals(pattern(() => 0, 2), { kind: "dense" });
});

Deno.test("jacobian: proof and terms stay affordable for many states and deep functions", () => {
  const started = performance.now();
  const { leaves, output } = traceBody((o, h, w) => {
    let v = o.matvec(w!, h!);
    for (let i = 0; i < 40; i++) v = o.sub(v, o.mul(0.1, o.mul(v, o.sin(v))));
    return o.concat(o.slice(v, 0, 700), o.slice(v, 700, 1500));
  }, [[1500], [1500, 1500]]);
  assertEquals(provePattern(output, leaves[0]!), { kind: "dense" });
  assert(structuredJacobian(output, leaves[0]!) !== null);
  // Slices of joined paths took 3⁴⁰ steps once, and lists of entries gigabytes.
  assert(performance.now() - started < 5000);
});
