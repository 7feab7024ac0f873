import type { Kernel } from "../../../kernels/kernel.ts";
import { aggregateWords, isSweep, type ScanElements, type ScanStart } from "../../../kernels/scan_elements.ts";
import { LANES, lanesArrays, lanesKernel } from "../../../kernels/scan_lanes.ts";
import { spineArrays, spineKernel, type SpineSpec } from "../../../kernels/scan_spine.ts";
import { tileArrays, tileKernel, tileWords } from "../../../kernels/scan_tile.ts";
import { timeArrays, timeKernel } from "../../../kernels/scan_time.ts";
import { wideArrays, wideKernel } from "../../../kernels/scan_wide.ts";
import type { ScanPlan } from "./scan_plan.ts";

/** A kernel, the names of its arrays in the order of its bindings, and the (sequence, chunk, unit)s of a workgroup. */
export interface ScanKernel {
  readonly kernel: Kernel;
  readonly arrays: readonly string[];
  readonly perGroup: number;
}

/** The kernels of a form of scan. Only what is asked for is written. */
export interface ScanForm {
  /** Words of an aggregate of a chunk and unit. */
  readonly words: number;
  reduce(): ScanKernel;
  apply(start: ScanStart): ScanKernel;
  /** The same over aggregates, exclusive and in place. */
  reduceSpine(): ScanKernel;
  applySpine(start: ScanStart): ScanKernel;
}

const named = (kernel: Kernel, arrays: readonly { readonly name: string }[], perGroup: number): ScanKernel => ({
  kernel,
  arrays: arrays.map(({ name }) => name),
  perGroup,
});

/** The spine of lanes on channels or on time. */
function spineOf({ sink, matrix, size, layout }: ScanElements): Pick<ScanForm, "words" | "reduceSpine" | "applySpine"> {
  const kind = matrix === "identity" ? "identity" : "full";
  const spec = (phase: SpineSpec["phase"], start: ScanStart): ScanKernel => {
    const whole = { phase, matrix: kind, size, layout, start, tamed: isSweep(sink) } as const;
    return named(spineKernel(whole), spineArrays(whole), LANES);
  };
  return {
    words: aggregateWords(matrix, size),
    reduceSpine: () => spec("reduce", "zeros"),
    applySpine: (start) => spec("apply", start),
  };
}

function lanesForm(elements: ScanElements): ScanForm {
  const make = (phase: "reduce" | "apply", start: ScanStart): ScanKernel => {
    const spec = { ...elements, phase, start };
    return named(lanesKernel(spec), lanesArrays(spec), LANES);
  };
  return {
    ...spineOf(elements),
    reduce: () => make("reduce", "zeros"),
    apply: (start) => make("apply", elements.matrix === "zero" ? "zeros" : start),
  };
}

function timeForm(elements: ScanElements): ScanForm {
  const make = (phase: "reduce" | "apply"): ScanKernel => {
    const { sink, matrix, reverse, adjoint = false } = elements;
    const spec = { sink, matrix, reverse, adjoint, phase };
    return named(timeKernel(spec), timeArrays(spec), 1);
  };
  return { ...spineOf(elements), reduce: () => make("reduce"), apply: () => make("apply") };
}

function tileForm({ size, layout, reverse, adjoint = false }: ScanElements): ScanForm {
  const make = (phase: "reduce" | "apply", source: "rows" | "aggregates", start: ScanStart): ScanKernel => {
    const rows = source === "rows";
    const spec = { size, layout, reverse: reverse && rows, adjoint: adjoint && rows, phase, source, start };
    return named(tileKernel(spec), tileArrays(spec), 1);
  };
  return {
    words: tileWords(size),
    reduce: () => make("reduce", "rows", "zeros"),
    apply: (start) => make("apply", "rows", start),
    reduceSpine: () => make("reduce", "aggregates", "zeros"),
    applySpine: (start) => make("apply", "aggregates", start),
  };
}

/** The kernel of a wide scan, which has one phase. */
export function wideForm(
  { size, layout, reverse, adjoint = false }: ScanElements,
  start: "zeros" | "vector",
): ScanKernel {
  const spec = { size, layout, reverse, adjoint, start };
  return named(wideKernel(spec), wideArrays(spec), 1);
}

/** The kernels for the elements of a scan of three phases. */
export function scanForm(form: Exclude<ScanPlan["form"], "wide">, elements: ScanElements): ScanForm {
  return form === "lanes" ? lanesForm(elements) : form === "time" ? timeForm(elements) : tileForm(elements);
}
