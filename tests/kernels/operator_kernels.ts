/** The kernels of scans with operators, and of a step made of products and solutions of matrices. Runs in pages too. */

import type { Kernel } from "../../kernels/kernel.ts";
import { defineOperator, ops } from "../../mod.ts";
import { type OperatorKernel, operatorPlan } from "../../src/engine/webgpu/operator_code.ts";
import { solveKernels } from "../../src/engine/webgpu/warm.ts";
import { operatorProgram } from "../../src/scan/define_operator.ts";
import { transitionOf } from "../../src/solve/methods.ts";
import { programOf } from "../../src/step.ts";
import { OPERATOR_CASES, type OperatorCase } from "../scan/operator_cases.ts";
import { riccati } from "../trace/riccati.ts";

/** All kernels that scans with an operator use. */
export function operatorKernels({ operator }: OperatorCase): OperatorKernel[] {
  const plan = operatorPlan(operatorProgram(operator));
  const sources = plan.leaves.length <= 3 ? ["arrays", "packed"] as const : ["packed"] as const;
  return sources.flatMap((source) => (["reduce", "apply"] as const).map((phase) => plan.kernel(phase, source)));
}

const matrices = [riccati(2, 1), riccati(2, 2), riccati(3, 2)].flatMap((step) =>
  (["sequential", "deer", "quasi-deer"] as const).flatMap((name) => {
    const program = programOf(step);
    return solveKernels(program, transitionOf(program, { name }), 2, 5000);
  })
);

/** As much private memory as WebGPU promises, 8192 bytes: the product of 32 × 32 matrices. */
const largest = defineOperator({
  name: "product of 32",
  element: { m: [32, 32] },
  combine: (earlier, later) => ({ m: ops.matmul(later.m, earlier.m) }),
});

/** Each once. */
export const OPERATOR_KERNELS: readonly Kernel[] = [
  ...new Map(
    [
      ...OPERATOR_CASES.flatMap(operatorKernels).map(({ kernel }) => kernel),
      operatorPlan(operatorProgram(largest)).kernel("reduce", "packed").kernel,
      ...matrices,
    ]
      .map((kernel) => [kernel.code, kernel]),
  ).values(),
];
