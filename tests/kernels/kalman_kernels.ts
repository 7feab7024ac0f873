/** The kernels of Kalman's filter and smoother, in parallel and step after step. Runs in pages too. */

import type { Kernel } from "../../kernels/kernel.ts";
import { operatorPlan } from "../../src/engine/webgpu/operator_code.ts";
import { solveKernels } from "../../src/engine/webgpu/warm.ts";
import { filterOperator, smootherOperator } from "../../src/kalman/elements.ts";
import { checkModel } from "../../src/kalman/model.ts";
import {
  filterElements,
  filterStep,
  logLikelihoods,
  smoothedStates,
  smootherElements,
  smootherStep,
} from "../../src/kalman/programs.ts";
import { operatorProgram } from "../../src/scan/define_operator.ts";
import { transitionOf } from "../../src/solve/methods.ts";
import { drawModel, type ModelSpec } from "../kalman/models.ts";
import { mapKernels } from "./map_kernels.ts";

const SHARE = 2 ** -10;

/** All kernels of a model. */
function modelKernels(spec: ModelSpec): Kernel[] {
  const { model, ys } = drawModel(spec);
  const [layout] = checkModel("Cannot test", model, ys);
  const n = layout.states;
  const maps = [
    filterElements(layout),
    logLikelihoods(layout),
    smootherElements(layout, SHARE),
    ...[n * n + n, 2 * n * n + n].map((width) => smoothedStates(n, width, SHARE)),
  ];
  const steps = [filterStep(layout), smootherStep(layout, SHARE)];
  return [
    ...maps.flatMap((program) => mapKernels({ program, starts: [], same: {} }, false)).map(({ kernel }) => kernel),
    ...steps.flatMap((program) => solveKernels(program, transitionOf(program, { name: "sequential" }), 2, 100)),
  ];
}

/** Sizes whose elements are kept in names, and others. */
const OPERATORS = [1, 2, 4, 6, 7, 12].flatMap((n) => [filterOperator(n), smootherOperator(n)]).flatMap((operator) => {
  const plan = operatorPlan(operatorProgram(operator));
  return (["reduce", "apply"] as const).flatMap((phase) =>
    (["arrays", "packed"] as const).map((source) => plan.kernel(phase, source).kernel)
  );
});

/** Each once. */
export const KALMAN_KERNELS: readonly Kernel[] = [
  ...new Map(
    [
      ...OPERATORS,
      ...modelKernels({ states: 1, measured: 1, time: 4 }),
      ...modelKernels({ states: 4, measured: 2, time: 4 }),
      ...modelKernels({ states: 3, measured: 5, time: 4, biased: true, varying: ["f", "u", "q", "h", "d", "r"] }),
    ].map((kernel) => [kernel.code, kernel]),
  ).values(),
];
