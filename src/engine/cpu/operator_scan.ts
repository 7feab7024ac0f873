import type { HostArray } from "../../core/types.ts";
import type { Node } from "../../trace/graph.ts";
import { createJsDialect } from "../../trace/dialect.ts";
import { memory, type Place, read } from "../../trace/places.ts";
import { printCode } from "../../trace/print.ts";
import type { RowProgram } from "../../trace/rows.ts";
import { valuesAhead } from "../../trace/rows_ahead.ts";
import type { OperatorScanJob } from "../engine.ts";
import { compileKernel } from "./kernel.ts";
import { storeLines } from "./map_kernel.ts";
import { arrayOf, parameterArray } from "./memory.ts";

/** Leaves of at most this many elements are kept in names from row to row. */
const NAMED = 4;

type OperatorKernel = (
  params: readonly Float64Array[],
  inputs: readonly HostArray[],
  outputs: readonly HostArray[],
  batch: number,
  time: number,
  reverse: boolean,
) => void;

const cache = new WeakMap<RowProgram, Map<string, OperatorKernel>>();

/**
 * The scan as a fold, one combination a row: on one thread that is the least work. Reads every element once, and the prefix
 * before a row, where it is long, from the row that was written last.
 */
export function scanWithOperator(job: OperatorScanJob, dtype: "f32" | "f64"): void {
  const { program, batch, time, reverse } = job;
  if (batch * time === 0) return;
  let known = cache.get(program);
  if (known === undefined) cache.set(program, known = new Map());
  let kernel = known.get(dtype);
  if (kernel === undefined) known.set(dtype, kernel = compileOperator(program, dtype));
  kernel(job.params.map(parameterArray), job.inputs.map(arrayOf), job.outputs.map(arrayOf), batch, time, reverse);
}

function compileOperator(program: RowProgram, dtype: "f32" | "f64"): OperatorKernel {
  const { params, inputs, outputs } = program;
  const use = createJsDialect(0);
  const places = new Map<Node, Place>();
  params.forEach(({ leaf }, k) => places.set(leaf, memory(`P${k}`)));
  const sizes = outputs.map(({ node }) => node.size);
  const names = sizes.map((size, k) => Array.from({ length: size <= NAMED ? size : 0 }, (_, i) => `s${k}_${i}`));
  inputs.forEach(({ leaf }, i) => {
    const k = i % outputs.length;
    const earlier: Place = names[k]!.length > 0 ? { kind: "locals", texts: names[k]! } : memory(`O${k}`, `e${k}`);
    places.set(leaf, i < outputs.length ? earlier : memory(`I${k}`, `o${k}`));
  });
  const ahead = printCode(valuesAhead(program), places, use);
  const body = printCode(outputs.map(({ node }) => node), places, use);
  const round = (text: string): string => dtype === "f32" ? `fround(${text})` : text;
  const next = outputs.flatMap(({ node }, k) =>
    names[k]!.map((_, i) => `const n${k}_${i} = ${round(read(places.get(node)!, i))};`)
  );
  // Long leaves first: they may be made of names that are about to change.
  const store = [
    ...outputs.flatMap(({ node }, k) =>
      names[k]!.length > 0 ? [] : storeLines(node, places.get(node)!, memory(`O${k}`, `o${k}`))
    ),
    ...names.flatMap((list, k) => list.map((name, i) => `O${k}[o${k} + ${i}] = ${name} = n${k}_${i};`)),
  ];
  const first = sizes.map((size, k) =>
    names[k]!.length > 0
      ? names[k]!.map((name, i) => `O${k}[o${k} + ${i}] = ${name} = I${k}[o${k} + ${i}];`).join(" ")
      : `for (let i = 0; i < ${size}; i++) O${k}[o${k} + i] = I${k}[o${k} + i];`
  );
  const move = sizes.map((size, k) => `${names[k]!.length > 0 ? "" : `const e${k} = o${k}; `}o${k} += step * ${size};`);
  return compileKernel("params, inputs, outputs, batch, time, reverse", [
    ...params.map((_, k) => `const P${k} = params[${k}];`),
    ...outputs.map((_, k) => `const I${k} = inputs[${k}], O${k} = outputs[${k}];`),
    ...ahead,
    "const step = reverse ? -1 : 1;",
    "for (let b = 0; b < batch; b++) {",
    "const start = b * time + (reverse ? time - 1 : 0);",
    ...sizes.map((size, k) => `let o${k} = start * ${size};`),
    ...names.flat().map((name) => `let ${name} = 0;`),
    ...first,
    "for (let r = 1; r < time; r++) {",
    ...move,
    ...body,
    ...next,
    ...store,
    "}",
    "}",
  ], use);
}
