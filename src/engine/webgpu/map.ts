import { functionsOf } from "../../../kernels/functions.ts";
import { assembleKernel, type Kernel } from "../../../kernels/kernel.ts";
import { createLaneDialect } from "../../trace/dialect_wgsl.ts";
import type { Node } from "../../trace/graph.ts";
import { memory, type Place, read } from "../../trace/places.ts";
import { printCode } from "../../trace/print.ts";
import type { RowProgram } from "../../trace/rows.ts";
import type { MapJob } from "../engine.ts";
import type { Machine } from "./machine.ts";
import { bufferOf, WORD_BYTES } from "./memory.ts";

const LANES = 64;

interface RowKernel {
  readonly kernel: Kernel;
  readonly words: number;
  readonly constants: readonly { readonly offset: number; readonly data: Float64Array }[];
}

const cache = new WeakMap<RowProgram, Map<string, RowKernel>>();

function compile(program: RowProgram, given: readonly boolean[]): RowKernel {
  const { params, inputs, t, outputs } = program;
  let words = 0;
  const places = new Map<Node, Place>();
  for (const { leaf } of params) {
    places.set(leaf, memory("C", "", words));
    words += leaf.size;
  }
  const constants: { offset: number; data: Float64Array }[] = [];
  const dialect = createLaneDialect((data) => {
    constants.push({ offset: words, data });
    words += data.length;
    return memory("C", "", words - data.length);
  });
  const lines: string[] = [];
  let local = 0;
  inputs.forEach(({ leaf, shift, per }, k) => {
    if (per === "sequence") {
      places.set(leaf, memory(`I${k}`, `i${k}`));
      lines.push(`let i${k} = b * ${leaf.size}u;`);
    } else if (shift === 0) {
      places.set(leaf, memory(`I${k}`, `i${k}`));
      lines.push(`let i${k} = n * ${leaf.size}u;`);
    } else {
      const outside = shift > 0 ? `r < ${shift}u` : `r + ${-shift}u >= P.time`;
      const row = shift > 0 ? `b * ${shift}u + r` : `b * ${-shift}u + r + ${-shift}u - P.time`;
      const start = given[k] ? `S${k}[(${row}) * ${leaf.size}u + i]` : "0.0";
      lines.push(`for (var i = 0u; i < ${leaf.size}u; i++) {`);
      lines.push(
        `var v: f32; if (${outside}) { v = ${start}; } else { v = I${k}[(n ${shift > 0 ? "-" : "+"} ${
          Math.abs(shift)
        }u) * ${leaf.size}u + i]; }`,
      );
      lines.push(`V[${local}u + i] = v; }`);
      places.set(leaf, memory("V", "", local));
      local += leaf.size;
    }
  });
  places.set(t, { kind: "same", text: "t" });
  lines.push(...printCode(outputs.map(({ node }) => node), places, dialect));
  outputs.forEach(({ node }, k) => {
    const place = places.get(node)!;
    for (let i = 0; i < (place.kind === "locals" ? node.size : 0); i++) {
      lines.push(`O${k}[n * ${node.size}u + ${i}u] = ${read(place, i)};`);
    }
    if (place.kind === "locals") return;
    lines.push(`for (var i = 0u; i < ${node.size}u; i++) { O${k}[n * ${node.size}u + i] = ${read(place, "i")}; }`);
  });
  const array = (name: string, kind: "read" | "read_write") => ({ name, kind, type: "array<f32>" });
  const kernel = assembleKernel({
    name: `${program.name} rows`,
    header: "rows",
    bindings: [
      { name: "P", kind: "uniform", type: "Info" },
      array("C", "read"),
      ...inputs.flatMap((_, k) => [array(`I${k}`, "read"), ...(given[k] ? [array(`S${k}`, "read")] : [])]),
      ...outputs.map((_, k) => array(`O${k}`, "read_write")),
    ],
    declarations: [
      "struct Info { batch: u32, time: u32 }",
      `var<private> W: array<f32, ${Math.max(1, dialect.scratchWords)}>;`,
      `var<private> V: array<f32, ${Math.max(1, local)}>;`,
      ...functionsOf(lines.join("\n")),
    ],
    workgroup: LANES,
    main: [
      `let n = group * ${LANES}u + lane;`,
      "if (n >= P.batch * P.time) { return; }",
      "let b = n / P.time; let r = n % P.time; let t = f32(r);",
      ...lines,
    ],
  });
  return { kernel, words, constants };
}

export function recordMap(machine: Machine, job: MapJob): void {
  const { program, batch, time } = job;
  if (batch * time === 0) return;
  let known = cache.get(program);
  if (known === undefined) cache.set(program, known = new Map());
  const given = job.inputs.map(({ start }) => start !== null);
  let compiled = known.get(given.join());
  if (compiled === undefined) known.set(given.join(), compiled = compile(program, given));
  const { kernel, words, constants } = compiled;
  const pack = machine.pool.allocate(Math.max(1, words) * WORD_BYTES, "parameters and constants");
  try {
    let offset = 0;
    for (const [k, { leaf }] of program.params.entries()) {
      machine.copy(bufferOf(job.params[k]!), 0, pack, offset * WORD_BYTES, leaf.size * WORD_BYTES);
      offset += leaf.size;
    }
    for (const { offset, data } of constants) machine.write(pack, Float32Array.from(data), offset * WORD_BYTES);
    const group = machine.bind(kernel, [
      machine.uniform(Uint32Array.of(batch, time)),
      { buffer: pack },
      ...job.inputs.flatMap(({ memory, start }) => [
        { buffer: bufferOf(memory) },
        ...(start === null ? [] : [{ buffer: bufferOf(start) }]),
      ]),
      ...job.outputs.map((memory) => ({ buffer: bufferOf(memory) })),
    ]);
    machine.dispatch(kernel, group, Math.ceil(batch * time / LANES));
  } finally {
    machine.pool.release(pack);
  }
}
