// G δ of every transition against a matrix G that plain loops make of the numeric Jacobian.

import { assertEquals } from "@std/assert";
import { createRandom } from "../../src/core/random.ts";
import { defineStep, programOf } from "../../src/step.ts";
import type { Sym } from "../../src/trace/graph.ts";
import * as ops from "../../src/trace/ops.ts";
import { type Transition, transitionAction } from "../../src/trace/transition.ts";
import { transitionEntries } from "../../src/trace/transition_entries.ts";
import { assertClose, runNodes, uniform } from "./helpers.ts";
import { numericJacobian } from "./reference.ts";
import { pointOf, stepCases } from "./steps.ts";

const UNITS = [3, 20];
/** Differences of fourth order at h = 1e-3, of rows of up to 40 entries. */
const TOLERANCE = { relative: 1e-9, absolute: 1e-9 };

type Matrix = readonly (readonly number[])[];

/** The matrix of a transition, entry by entry. */
function matrixOf({ kind, scale, clip, block = 1, layout, probes, seed = 0 }: Transition, jacobian: Matrix): Matrix {
  const size = jacobian.length;
  const unit = (k: number): number => layout === "strided" ? k % (size / block) : Math.floor(k / block);
  const estimate = probes === undefined ? jacobian.map((row, i) => row[i]!) : hutchinson(jacobian, probes, seed);
  return jacobian.map((row, i) =>
    row.map((entry, j) => {
      let g: number;
      if (kind === "identity") return i === j ? 1 - scale : 0;
      else if (kind === "dense") g = entry;
      else if (kind === "diagonal") g = i === j ? estimate[i]! : 0;
      else if (kind === "block") g = unit(i) === unit(j) ? entry : 0;
      else return 0;
      return (1 - scale) * (g > clip ? clip : g < -clip ? -clip : g);
    })
  );
}

/** The mean of z ∘ (J z) over random signs z. */
function hutchinson(jacobian: Matrix, probes: number, seed: number): number[] {
  const random = createRandom(seed);
  const sum = new Array<number>(jacobian.length).fill(0);
  for (let probe = 0; probe < probes; probe++) {
    const z = sum.map(() => random.uniform() < 0.5 ? -1 : 1);
    for (const [i, row] of jacobian.entries()) sum[i]! += z[i]! * row.reduce((jz, entry, j) => jz + entry * z[j]!, 0);
  }
  return sum.map((x) => x / probes);
}

const PLAIN = { scale: 0, clip: Infinity };
const SETTINGS = [PLAIN, { scale: 0.3, clip: Infinity }, { scale: 0, clip: 0.2 }, { scale: 0.3, clip: 0.2 }];

/** Every kind with every setting, for a state of this size. */
function transitions(state: number): Transition[] {
  const blocks = state % 2 === 0 ? [...new Set([2, state / 2])].filter((block) => block < state) : [];
  return SETTINGS.flatMap((setting): Transition[] => [
    { kind: "zero", ...setting },
    { kind: "dense", ...setting },
    { kind: "diagonal", ...setting },
    { kind: "diagonal", ...setting, probes: 3, seed: 7 },
    ...blocks.flatMap((block): Transition[] => [
      { kind: "block", block, layout: "strided", ...setting },
      { kind: "block", block, layout: "contiguous", ...setting },
    ]),
    // Picard's identity is scaled, never clipped.
    ...(setting.clip === Infinity ? [{ kind: "identity", ...setting } as const] : []),
  ]);
}

for (const n of UNITS) {
  for (const { name, step, f } of stepCases(n)) {
    Deno.test(`transition: every kind for ${name} of ${n} units is G δ in plain loops`, () => {
      const program = programOf(step);
      const point = pointOf(program);
      const jacobian = numericJacobian(f, point.get(program.h)!);
      const delta = uniform(program.state, 9);
      point.set(program.delta, delta);
      const all = transitions(program.state);
      for (const transition of all) {
        const matrix = matrixOf(transition, jacobian);
        const expected = matrix.map((row) => row.reduce((sum, entry, j) => sum + entry * delta[j]!, 0));
        const action = transitionAction(program, transition);
        // With f and J δ in one kernel, which share what they can; null means zero.
        const beside = [program.output, program.tangent ?? program.output];
        const actual = action === null ? delta.map(() => 0) : runNodes([...beside, action], point)[2]!;
        assertClose(actual, expected, TOLERANCE, JSON.stringify(transition));
      }
    });
  }
}

Deno.test("transition: sequential and zero have no action, nor has a Jacobian that is proven zero", () => {
  const steps = new Map(stepCases(3).map(({ name, step }) => [name, programOf(step)]));
  assertEquals(transitionAction(steps.get("gru")!, { kind: "sequential", ...PLAIN }), null);
  assertEquals(transitionAction(steps.get("gru")!, { kind: "zero", ...PLAIN }), null);
  for (const kind of ["dense", "diagonal"] as const) {
    assertEquals(transitionAction(steps.get("zero")!, { kind, ...PLAIN }), null);
    assertEquals(transitionAction(steps.get("zero")!, { kind, scale: 0.5, clip: 0.1 }), null);
  }
});

Deno.test("transition: the probes of a diagonal Jacobian give it exactly, whatever the seed", () => {
  const { step, f } = stepCases(20).find(({ name }) => name === "diagonal")!;
  const program = programOf(step);
  const point = pointOf(program).set(program.delta, new Array<number>(20).fill(1));
  const diagonal = numericJacobian(f, point.get(program.h)!).map((row, i) => row[i]!);
  for (const seed of [0, 1, 2 ** 40]) {
    const action = transitionAction(program, { kind: "diagonal", ...PLAIN, probes: 1, seed });
    assertClose(runNodes([action], point)[0]!, diagonal, TOLERANCE, `seed ${seed}`);
  }
});

Deno.test("transition: many probes come close to the diagonal, and another seed gives another estimate", () => {
  const { step, f } = stepCases(3).find(({ name }) => name === "lem")!;
  const program = programOf(step);
  const point = pointOf(program).set(program.delta, new Array<number>(program.state).fill(1));
  const jacobian = numericJacobian(f, point.get(program.h)!);
  const estimate = (probes: number, seed: number): number[] =>
    runNodes([transitionAction(program, { kind: "diagonal", ...PLAIN, probes, seed })], point)[0]!;
  assertEquals(estimate(2, 0).join() === estimate(2, 1).join(), false);
  const many = 4000;
  for (const [i, row] of jacobian.entries()) {
    // The variance of one probe is the sum of the squares of the row's other entries; six standard deviations.
    const variance = row.reduce((sum, entry, j) => sum + (i === j ? 0 : entry ** 2), 0);
    assertClose([estimate(many, 3)[i]!], [row[i]!], { absolute: 6 * Math.sqrt(variance / many) }, `row ${i}`);
  }
});

Deno.test("transition: blocks whose entries come from many terms, of both layouts, beside those that are not proven", () => {
  const units = 6;
  for (const layout of ["contiguous", "strided"] as const) {
    const at = (unit: number, part: number): number => layout === "strided" ? part * units + unit : 2 * unit + part;
    const step = defineStep({
      name: `pendulums, ${layout}`,
      state: 2 * units,
      input: 0,
      params: { w: [2 * units, 2] },
      step: ({ h, p }) => {
        const rows = ops.reshape(p.w, [4 * units]);
        const next = Array.from({ length: 2 * units }, (_, i): Sym => {
          const [unit, part] = layout === "strided" ? [i % units, Math.floor(i / units)] : [Math.floor(i / 2), i % 2];
          const own = ops.concat(...[0, 1].map((k) => ops.slice(h, at(unit, k), at(unit, k) + 1)));
          return ops.tanh(ops.dot(ops.slice(rows, 2 * i, 2 * i + 2), part === 0 ? own : ops.sin(own)));
        });
        return ops.concat(...next);
      },
    });
    assertEquals(step.jacobian, { block: 2, layout });
    const program = programOf(step);
    const w = uniform(4 * units, 3);
    const h = uniform(2 * units, 4);
    const delta = uniform(2 * units, 5);
    const point = new Map([[program.h, h], [program.delta, delta], [program.params[0]!.leaf, w]]);
    const f = (state: readonly number[]): number[] =>
      state.map((_, i) => {
        const [unit, part] = layout === "strided" ? [i % units, Math.floor(i / units)] : [Math.floor(i / 2), i % 2];
        const own = [0, 1].map((k) => state[at(unit, k)]!).map((value) => part === 0 ? value : Math.sin(value));
        return Math.tanh(w[2 * i]! * own[0]! + w[2 * i + 1]! * own[1]!);
      });
    const jacobian = numericJacobian(f as never, h);
    for (const setting of SETTINGS) {
      for (const block of [2, 3, 6]) {
        for (const other of ["contiguous", "strided"] as const) {
          const transition: Transition = { kind: "block", block, layout: other, ...setting };
          const expected = matrixOf(transition, jacobian).map((row) =>
            row.reduce((sum, entry, j) => sum + entry * delta[j]!, 0)
          );
          const action = transitionAction(program, transition);
          const actual = action === null ? delta.map(() => 0) : runNodes([action], point)[0]!;
          assertClose(actual, expected, TOLERANCE, `${layout}: ${JSON.stringify(transition)}`);
        }
      }
    }
    // The same for machines that take entries.
    for (const setting of SETTINGS) {
      const entries = transitionEntries(program, { kind: "block", block: 2, layout, ...setting });
      if (entries.kind !== "blocks") throw new Error("not in blocks");
      const matrix = matrixOf({ kind: "block", block: 2, layout, ...setting }, jacobian);
      const expected = [0, 1, 2, 3].flatMap((e) =>
        Array.from({ length: units }, (_, u) => matrix[at(u, Math.floor(e / 2))]![at(u, e % 2)]!)
      );
      assertClose(runNodes([entries.planes], point)[0]!, expected, TOLERANCE, `${layout}: entries`);
    }
  }
});
