import type { HostArray } from "../../core/types.ts";
import type { Node } from "../../trace/graph.ts";
import { memory, type Place } from "../../trace/places.ts";
import { printCode } from "../../trace/print.ts";
import type { RowProgram } from "../../trace/rows.ts";
import { valuesAhead } from "../../trace/rows_ahead.ts";
import { createJsDialect } from "../../trace/dialect.ts";
import type { MapJob } from "../engine.ts";
import { compileKernel } from "./kernel.ts";
import { storeLines } from "./map_kernel.ts";
import { arrayOf, parameterArray } from "./memory.ts";

/** Evaluates a function at all rows; `starts` holds what is read outside a sequence, |shift| rows of each or one of zeros. */
type RowKernel = (
  params: readonly Float64Array[],
  inputs: readonly HostArray[],
  starts: readonly HostArray[],
  startStrides: readonly number[],
  outputs: readonly HostArray[],
  batch: number,
  time: number,
) => void;

const cache = new WeakMap<RowProgram, Map<string, RowKernel>>();

/** `outputs[b, t] = f(inputs[b, t - shift]; params, t)`: reads every input once, writes every output once. */
export function mapRows(job: MapJob, dtype: "f32" | "f64"): void {
  const { program, batch, time } = job;
  if (batch * time === 0) return;
  let known = cache.get(program);
  if (known === undefined) cache.set(program, known = new Map());
  // One compilation a dtype: the arrays of each are of one kind.
  let kernel = known.get(dtype);
  if (kernel === undefined) known.set(dtype, kernel = compileRows(program));
  const inputs = job.inputs.map(({ memory }) => arrayOf(memory));
  const zeros = (size: number): HostArray => dtype === "f32" ? new Float32Array(size) : new Float64Array(size);
  const starts = program.inputs.map(({ leaf }, k) => {
    const { start } = job.inputs[k]!;
    return start === null ? zeros(leaf.size) : arrayOf(start);
  });
  const strides = program.inputs.map(({ leaf }, k) => job.inputs[k]!.start === null ? 0 : leaf.size);
  kernel(job.params.map(parameterArray), inputs, starts, strides, job.outputs.map(arrayOf), batch, time);
}

function compileRows(program: RowProgram): RowKernel {
  const { params, inputs, t, outputs } = program;
  const use = createJsDialect(0);
  const places = new Map<Node, Place>();
  params.forEach(({ leaf }, k) => places.set(leaf, memory(`P${k}`)));
  inputs.forEach(({ leaf }, k) => places.set(leaf, memory(`I${k}`, `i${k}`)));
  places.set(t, { kind: "same", text: "t" });
  const ahead = printCode(valuesAhead(program), places, use);
  const body = printCode(outputs.map(({ node }) => node), places, use);
  const rows = inputs.flatMap(({ leaf, shift, per }, k) => {
    if (per === "sequence") return [`const I${k} = inputs[${k}], i${k} = b * ${leaf.size};`];
    if (shift === 0) return [`const I${k} = inputs[${k}], i${k} = n * ${leaf.size};`];
    const outside = shift > 0 ? `t < ${shift}` : `t >= time + ${shift}`;
    const row = `b * ${Math.abs(shift)} + t${shift > 0 ? "" : ` - time + ${-shift}`}`;
    return [
      `let I${k} = inputs[${k}], i${k} = (n - ${shift}) * ${leaf.size};`,
      `if (${outside}) { I${k} = starts[${k}]; i${k} = (${row}) * strides[${k}]; }`,
    ];
  });
  return compileKernel("params, inputs, starts, strides, outputs, batch, time", [
    ...params.map((_, k) => `const P${k} = params[${k}];`),
    ...outputs.map((_, k) => `const O${k} = outputs[${k}];`),
    ...ahead,
    "for (let b = 0, n = 0; b < batch; b++) {",
    "for (let t = 0; t < time; t++, n++) {",
    ...rows,
    ...outputs.map(({ node }, k) => `const o${k} = n * ${node.size};`),
    ...body,
    ...outputs.flatMap(({ node }, k) => storeLines(node, places.get(node)!, memory(`O${k}`, `o${k}`))),
    "}",
    "}",
  ], use);
}
