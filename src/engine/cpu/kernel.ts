import type { HostArray } from "../../core/types.ts";
import type { Node } from "../../trace/graph.ts";
import { createJsDialect, type JsDialect } from "../../trace/dialect.ts";
import { memory, type Place } from "../../trace/places.ts";
import { printCode } from "../../trace/print.ts";
import type { StepProgram } from "../../trace/program.ts";
import type { Slot, Stages } from "../../trace/stages.ts";
import { sigmoid, softplus, tanh } from "./functions.ts";

/** The functions that printed code calls, by the names that `trace/elementwise.ts` prints. */
const FUNCTIONS = { sigmoid, softplus, tanh };
const PRELUDE = `
const { exp, log, sqrt, sin, cos, abs, sign, pow, max, min, fround } = Math;
const { ${Object.keys(FUNCTIONS).join(", ")} } = functions;
`;

/** The arrays that a kernel reads, in the order in which it takes them; rows advance along (b, t). */
export interface KernelArrays {
  readonly params: readonly HostArray[];
  /** Values from parameters alone. */
  readonly shared: HostArray;
  /** Hoisted values, one row per (b, t). */
  readonly hoisted: HostArray;
  readonly xs: HostArray;
}

/** Places of all that a kernel finds in memory: parameters, shared and hoisted values, and the row of x. */
export function inputPlaces(program: StepProgram, stages: Stages): Map<Node, Place> {
  const places = new Map<Node, Place>();
  for (const [i, { leaf }] of program.params.entries()) places.set(leaf, memory(`P${i}`));
  const put = (slots: readonly Slot[], name: string, base: string): void => {
    for (const { node, offset } of slots) places.set(node, memory(name, base, offset));
  };
  put(stages.shared, "S", "");
  put(stages.hoisted, "Z", "z");
  places.set(program.x, memory("X", "x"));
  places.set(program.t, { kind: "same", text: "t" });
  return places;
}

/** Prints `outputs` into a body, with the resources that it needs; the caller has `reserved` words of scratch. */
export function printBody(
  outputs: readonly Node[],
  places: Map<Node, Place>,
  reserved = 0,
): { lines: string[]; use: JsDialect } {
  const use = createJsDialect(reserved);
  return { lines: printCode(outputs, places, use), use };
}

/** Text that unpacks {@linkcode KernelArrays} named `arrays`. */
export function unpack(program: StepProgram): string {
  const params = program.params.map((_, i) => `P${i} = arrays.params[${i}]`);
  return `const ${[...params, "S = arrays.shared", "Z = arrays.hoisted", "X = arrays.xs"].join(", ")};`;
}

let compiled = 0;

/**
 * Compiles the text of a kernel. Its text is made from a graph of known operations and numbers, never from strings of a
 * user. Scratch memory is allocated here, once; arithmetic is in f64 and rounded where it is stored.
 */
export function compileKernel<F>(parameters: string, body: readonly string[], use: JsDialect): F {
  const constants = use.constants.map((_, i) => `K${i} = constants[${i}]`).join(", ");
  const source = [
    // V8 keeps what it has learnt of a function by its text: one text for f32 and for f64 would be slow for both.
    `// kernel ${compiled++}`,
    '"use strict";',
    PRELUDE,
    `const W = new Float64Array(${use.scratchWords});`,
    constants === "" ? "" : `const ${constants};`,
    `return function kernel(${parameters}) {`,
    ...body,
    "};",
  ].join("\n");
  return new Function("constants", "functions", source)(use.constants, FUNCTIONS) as F;
}
