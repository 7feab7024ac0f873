import { sizeOf } from "../core/shape.ts";
import type { Shape } from "../core/types.ts";
import { type Device, engineOf } from "../device.ts";
import type { Engine, Memory } from "../engine/engine.ts";
import { record } from "../tape.ts";
import { memoryOf, type Tensor, wrapMemory } from "../tensor.ts";
import type { RowProgram } from "../trace/rows.ts";
import { type MapCall, pullBackMap } from "./map_pullback.ts";

/** A copy of an array. */
export function copyOf(engine: Engine, memory: Memory): Memory {
  const copy = engine.allocate(memory.dtype, memory.length, "a copy");
  const rows = { fromStart: 0, fromStride: 0, toStart: 0, toStride: 0, width: memory.length, rows: 1 };
  engine.copy(memory, copy, rows);
  return copy;
}

/** Zeros: the sum of nothing. */
export function fillZeros(engine: Engine, memory: Memory): void {
  engine.reduce({ op: "sum", input: memory, out: memory, outer: 1, length: 0, inner: memory.length });
}

/** `f(t)` for t = 0, ..., count - 1, of a program without inputs, in memory of its own. */
export function tabulate(engine: Engine, program: RowProgram, count: number): Memory {
  const out = engine.allocate(engine.dtype, count, program.name);
  engine.map({ program, params: [], inputs: [], outputs: [out], batch: 1, time: count });
  return out;
}

/** A traced function of one row, without parameters and of one output, over `rows` rows of arrays of any shape. Differentiable. */
export function mapFlat(
  device: Device,
  program: RowProgram,
  inputs: readonly Tensor[],
  rows: number,
  shape: Shape,
): Tensor {
  const engine = engineOf(device);
  const label = `${program.outputs[0]!.path} of "${program.name}"`;
  const out = wrapMemory(device, shape, engine.allocate(engine.dtype, sizeOf(shape), label), label);
  const memories = inputs.map(memoryOf);
  const call: MapCall = {
    device,
    program,
    params: [],
    inputs: memories,
    starts: inputs.map(() => null),
    batch: 1,
    time: rows,
  };
  engine.map({
    program,
    params: [],
    inputs: memories.map((memory) => ({ memory, start: null })),
    outputs: [memoryOf(out)],
    batch: 1,
    time: rows,
  });
  record({
    name: program.name,
    inputs,
    outputs: [out],
    holds: inputs,
    pullback: (cotangents, wanted) => pullBackMap(call, cotangents, wanted),
  });
  return out;
}
