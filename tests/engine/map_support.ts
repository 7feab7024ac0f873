import type { Engine, MapJob, Memory } from "../../src/engine/engine.ts";
import type { StepProgram } from "../../src/trace/program.ts";
import type { RowLeaf, RowProgram } from "../../src/trace/rows.ts";
import { numbers } from "../solve/arrays.ts";
import type { RowCase } from "./map_case.ts";

/** One evaluation of a step for all rows: `h` one row a sequence. */
export function rowsOfStep({ name, trace, params, h, x, t, output, state, input }: StepProgram): RowProgram {
  const hs: RowLeaf = { path: "h", shape: [state], leaf: h, shift: 0, per: "sequence" };
  const xs: RowLeaf = { path: "x", shape: [input], leaf: x, shift: 0, per: "step" };
  return { name, trace, params, inputs: input === 0 ? [hs] : [hs, xs], t, outputs: [{ path: "y", node: output }] };
}

/** Numbers for a case, and what its function makes of them by plain loops. */
export interface PlainMap {
  readonly params: readonly Float64Array[];
  readonly inputs: readonly { readonly data: Float64Array; readonly start: Float64Array | null }[];
  /** In the order of the program's outputs. */
  readonly expected: readonly number[][];
}

/** Evaluates a case by plain loops over rows. */
export function runPlain({ program, starts, same, plain }: RowCase, batch: number, time: number): PlainMap {
  let seed = 1;
  const params = program.params.map(({ leaf }) => numbers(leaf.size, leaf.size > 4000 ? 0.2 : 1, seed++));
  const memories = new Map<string, Float64Array>();
  const inputs = program.inputs.map(({ path, leaf, per, shift }) => {
    const name = same[path] ?? path;
    const rows = per === "sequence" ? batch : batch * time;
    const data = memories.get(name) ?? numbers(rows * leaf.size, 1, seed++);
    memories.set(name, data);
    const start = starts.includes(path) ? numbers(batch * Math.abs(shift) * leaf.size, 1, seed++) : null;
    return { data, start };
  });
  const expected = program.outputs.map((): number[] => []);
  const named = Object.fromEntries(program.params.map(({ path }, k) => [path, Array.from(params[k]!)]));
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < time; t++) {
      const rows = Object.fromEntries(program.inputs.map(({ path, leaf: { size }, per, shift }, k) => {
        const { data, start } = inputs[k]!;
        const at = (from: Float64Array, row: number): number[] => Array.from(from.slice(row * size, (row + 1) * size));
        if (per === "sequence") return [path, at(data, b)];
        const row = t - shift;
        if (row >= 0 && row < time) return [path, at(data, b * time + row)];
        // Rows before the first end with it, rows after the last begin after it.
        const outside = b * Math.abs(shift) + (row < 0 ? row + shift : row - time);
        return [path, start === null ? new Array<number>(size).fill(0) : at(start, outside)];
      }));
      const results = plain(rows, named, t);
      program.outputs.forEach(({ path }, k) => expected[k]!.push(...results[path]!));
    }
  }
  return { params, inputs, expected };
}

/** A job in the memory of an engine. */
export function mapJob(
  engine: Engine,
  { program, same }: RowCase,
  data: PlainMap,
  batch: number,
  time: number,
): MapJob {
  const uploaded = new Map<string, Memory>();
  return {
    program,
    params: data.params.map((values) => engine.upload(values)),
    inputs: program.inputs.map(({ path }, k) => {
      const { data: values, start } = data.inputs[k]!;
      const name = same[path] ?? path;
      const memory = uploaded.get(name) ?? engine.upload(values);
      uploaded.set(name, memory);
      return { memory, start: start && engine.upload(start) };
    }),
    outputs: program.outputs.map(({ node }) => engine.allocate(engine.dtype, batch * time * node.size)),
    batch,
    time,
  };
}

/** Frees all that a job holds. */
export function freeJob(engine: Engine, { params, inputs, outputs }: MapJob): void {
  const memories = [...params, ...inputs.flatMap(({ memory, start }) => [memory, start]), ...outputs];
  for (const memory of new Set(memories)) if (memory !== null) engine.free(memory);
}
