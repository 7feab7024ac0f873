// Running what cervid printed to WGSL, in both dialects, on a WebGPU device.

import { emitEvaluate } from "../../kernels/evaluate.ts";
import { LANE_ROWS } from "../../kernels/rows.ts";
import { locateRow, packInfo } from "../../kernels/traced.ts";
import { defineStep, type Shape } from "../../mod.ts";
import type { Machine } from "../../src/engine/webgpu/machine.ts";
import { ParameterPack, planTile, printLane, printTile, widestOf } from "../../src/engine/webgpu/traced.ts";
import { programOf } from "../../src/step.ts";
import * as ops from "../../src/trace/ops.ts";
import { read } from "../../src/trace/places.ts";
import type { StepProgram } from "../../src/trace/program.ts";
import { type Body, cut } from "./helpers.ts";
import { count } from "./reference.ts";

/** One invocation evaluates a row, or a workgroup several rows together. */
export type WgslForm = "lane" | "tile";
export const FORMS: readonly WgslForm[] = ["lane", "tile"];

/** A function, and the shapes of its arguments. */
export interface GpuBody {
  readonly body: Body;
  readonly shapes: readonly Shape[];
}

const widthOf = ({ shapes }: GpuBody): number => shapes.reduce((sum, shape) => sum + count(shape), 0);

/** All bodies in one step: their arguments, side by side, are its input, their results its next state. */
function programOfAll(bodies: readonly GpuBody[]): { program: StepProgram; sizes: number[] } {
  const sizes: number[] = [];
  const input = Math.max(1, bodies.reduce((sum, body) => sum + widthOf(body), 0));
  const trace = (state: number): StepProgram =>
    programOf(defineStep({
      name: "vocabulary",
      state,
      input,
      params: {},
      step: ({ x }) => {
        let start = 0;
        const results = bodies.map((given) => {
          const part = widthOf(given) === 0 ? [] : cut(ops.slice(x, start, start += widthOf(given)), given.shapes);
          const result = given.body(ops, ...part);
          return ops.reshape(result, [count(result.shape)]);
        });
        sizes.splice(0, sizes.length, ...results.map(({ shape }) => count(shape)));
        const total = sizes.reduce((a, b) => a + b, 0);
        return total === state ? ops.concat(...results) : ops.constant(0, [state]);
      },
    }));
  trace(1);
  return { program: trace(sizes.reduce((a, b) => a + b, 0)), sizes };
}

/** Results of every body at every row of arguments: `result[row][body]`. */
export async function evaluateOnGpu(
  machine: Machine,
  form: WgslForm,
  bodies: readonly GpuBody[],
  rows: readonly (readonly number[])[],
): Promise<number[][][]> {
  const { program, sizes } = programOfAll(bodies);
  const { state, input, output } = program;
  const pack = new ParameterPack(program, 0);
  const stages = { shared: [], sharedSize: 0, hoisted: [], hoistedSize: 0 };
  const request = { program, stages, pack, outputs: [output], given: 0 } as const;
  const shape = { state, input, hoisted: 0 };
  const locate = (words: number): string[] => [
    "let r = r0 + row;",
    ...locateRow(shape, "r"),
    `let w = row * ${words}u;`,
  ];
  const words = printTile(request, { rows: 1, lanes: 32, scratch: "workgroup" }, locate(0)).code.scratch;
  const tile = form === "lane" ? null : planTile(words, widestOf(request), 4, machine.limits.workgroupBytes / 4);
  if (tile?.scratch === "storage") throw new RangeError(`Cannot test: ${words} words of scratch are too many`);
  const { code, places } = tile === null ? printLane(request) : printTile(request, tile, locate(words));
  const text = read(places.get(output)!, "i");
  const stores = [{ count: state, width: state, offset: "0u", index: "i", text }] as const;
  const kernel = emitEvaluate({ name: form, shape, code, stores, previous: "none", skip: false, tile });

  const made: GPUBuffer[] = [];
  const buffer = (data: Float32Array): { buffer: GPUBuffer } => {
    const buffer = machine.pool.allocate(data.byteLength, "test");
    made.push(buffer);
    machine.write(buffer, data);
    return { buffer };
  };
  const constants = new Float32Array(Math.max(1, pack.words));
  for (const { offset, data } of pack.constants) constants.set(data, offset);
  const none = buffer(new Float32Array(64));
  const out = buffer(new Float32Array(rows.length * state));
  const info = machine.uniform(packInfo({ batch: 1, rows: rows.length, t0: 0, first: 0, count: 1 }));
  const given = [info, buffer(constants), none, buffer(Float32Array.from(rows.flat())), none, none, none, out];
  const groups = Math.ceil(rows.length / (tile?.rows ?? LANE_ROWS));
  machine.dispatch(kernel, machine.bind(kernel, given), groups);
  const data = new Float32Array(await machine.read(out.buffer, 0, rows.length * state * 4));
  for (const each of made) machine.pool.release(each);
  return rows.map((_, r) => {
    let start = r * state;
    return sizes.map((size) => Array.from(data.subarray(start, start += size)));
  });
}
