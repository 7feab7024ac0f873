/** The kernels of maps, in every form. Runs in pages too. */

import type { Kernel } from "../../kernels/kernel.ts";
import { planMap } from "../../src/engine/webgpu/map_plan.ts";
import type { MapKernel } from "../../src/engine/webgpu/map_code.ts";
import { makeVariant } from "../../src/engine/webgpu/map_variant.ts";
import type { RowCase } from "../engine/map_case.ts";
import { ROW_CASES } from "../engine/map_cases.ts";

/** The kernels of a case, with or without its rows outside of sequences. */
export function mapKernels(
  { program, starts, same }: Pick<RowCase, "program" | "starts" | "same">,
  withStarts: boolean,
): MapKernel[] {
  const plan = planMap(program);
  const numberOf = (path: string): number => program.inputs.findIndex((input) => input.path === (same[path] ?? path));
  const memories = plan.arrays.map(({ source }, k) => {
    if (source.from !== "input" && source.from !== "start") return program.inputs.length + k;
    const { path } = program.inputs[source.index]!;
    if (source.from === "input") return numberOf(path);
    return withStarts && starts.includes(path) ? program.inputs.length + k : -1;
  });
  const { shared, steps } = makeVariant(plan, memories);
  return [...shared, ...steps.flatMap((step) => "kind" in step ? [] : step)];
}

/** Each once. */
export const MAP_KERNELS: readonly Kernel[] = [
  ...new Map(
    ROW_CASES.flatMap((given) => [true, false].flatMap((withStarts) => mapKernels(given, withStarts)))
      .map(({ kernel }) => [kernel.code, kernel]),
  ).values(),
];
