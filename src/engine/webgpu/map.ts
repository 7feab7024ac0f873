import type { RowProgram } from "../../trace/rows.ts";
import type { MapJob } from "../engine.ts";
import type { Machine } from "./machine.ts";
import { type MapPlan, planMap } from "./map_plan.ts";
import { MapRun } from "./map_run.ts";
import { makeVariant, type MapVariant } from "./map_variant.ts";
import { bufferOf } from "./memory.ts";

interface CompiledMap {
  readonly plan: MapPlan;
  readonly variants: Map<string, MapVariant>;
}

const cache = new WeakMap<RowProgram, CompiledMap>();

/** A number for the memory of every array: equal for equal buffers, -1 for a start that was not given. */
function numberMemories({ arrays }: MapPlan, { params, inputs, outputs }: MapJob): number[] {
  const numbers = new Map<GPUBuffer, number>();
  return arrays.map(({ source }, k) => {
    if (!("index" in source)) return arrays.length + k;
    const { from, index } = source;
    const memory = from === "parameter"
      ? params[index]!
      : from === "input"
      ? inputs[index]!.memory
      : from === "start"
      ? inputs[index]!.start
      : outputs[index]!;
    if (memory === null) return -1;
    const buffer = bufferOf(memory);
    const number = numbers.get(buffer) ?? numbers.size;
    numbers.set(buffer, number);
    return number;
  });
}

/**
 * A traced function over all rows: large products with parameters by the kernel of products, all else by kernels over
 * elements, rows, or tiles of rows; in parts where arrays exceed bindings.
 */
export function recordMap(machine: Machine, job: MapJob): void {
  const { program, batch, time } = job;
  if (batch * time === 0) return;
  let compiled = cache.get(program);
  if (compiled === undefined) cache.set(program, compiled = { plan: planMap(program), variants: new Map() });
  const { plan, variants } = compiled;
  const memories = numberMemories(plan, job);
  const key = memories.join();
  let variant = variants.get(key);
  if (variant === undefined) variants.set(key, variant = makeVariant(plan, memories));
  const run = new MapRun(machine, job, plan, variant);
  try {
    run.record();
  } finally {
    run.free();
  }
}
