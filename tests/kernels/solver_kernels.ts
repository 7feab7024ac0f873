/** The kernels of solves: every form that a sweep takes, of cells and of steps of the user's own. Runs in pages too. */

import type { Kernel } from "../../kernels/kernel.ts";
import { MOST_TRUST } from "../../kernels/trust_scan.ts";
import { defineStep, elman, gru, lem, lstm, type Method, type Step } from "../../mod.ts";
import { solveKernels } from "../../src/engine/webgpu/warm.ts";
import { transitionOf } from "../../src/solve/methods.ts";
import { programOf } from "../../src/step.ts";
import * as ops from "../../src/trace/ops.ts";

/** Elementwise: no state depends on another. */
export const leaky = (state: number): Step =>
  defineStep({
    name: `leaky of ${state}`,
    state,
    input: state,
    params: { rate: [state] },
    step: ({ h, x, p }) => ops.add(h, ops.mul(ops.sigmoid(p.rate), ops.sub(ops.tanh(ops.add(x, h)), h))),
  });

/** Three dense layers: no structured Jacobian, columns by forward mode. */
const layers = (state: number): Step =>
  defineStep({
    name: `layers of ${state}`,
    state,
    input: 0,
    params: { a: [state, state], b: [state, state], c: [state, state] },
    step: ({ h, p, t }) => {
      const inner = ops.sin(ops.matvec(p.b, ops.tanh(ops.matvec(p.a, h))));
      return ops.mul(ops.softmax(ops.matvec(p.c, inner)), ops.cos(t));
    },
  });

const STEPS: readonly Step[] = [
  ...[1, 4, 5, 16, 40].map((hidden) => gru({ input: 2, hidden })),
  ...[1, 2, 6].map((hidden) => lstm({ input: 2, hidden })),
  ...[2, 5].map((hidden) => lem({ input: 2, hidden })),
  elman({ input: 3, hidden: 20, activation: "relu" }),
  ...[3, 9].map(leaky),
  ...[3, 7].map(layers),
];
const METHODS: readonly (Method & { readonly name: Exclude<Method["name"], "auto"> })[] = [
  { name: "sequential" },
  { name: "jacobi" },
  { name: "picard" },
  { name: "quasi-deer", clip: 0.5 },
  { name: "block-deer" },
  { name: "deer", scale: 0.25 },
  { name: "elk" },
  { name: "elk", damping: 1 },
  { name: "quasi-elk" },
  { name: "quasi-elk", damping: 1 },
];

/** Each once. */
export const SOLVER_KERNELS: readonly Kernel[] = [
  ...new Map(
    STEPS.flatMap((step) =>
      METHODS.filter(({ name }) => name !== "elk" || step.state <= MOST_TRUST).flatMap((method) =>
        [10, 5000].flatMap((time) => {
          const program = programOf(step);
          return solveKernels(program, transitionOf(program, method), 2, time);
        })
      )
    ).map((kernel) => [kernel.code, kernel]),
  ).values(),
];
