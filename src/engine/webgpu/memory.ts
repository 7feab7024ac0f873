import type { DType } from "../../core/types.ts";
import { DeviceError } from "../../core/errors.ts";
import type { Memory } from "../engine.ts";
import type { Machine, Region } from "./machine.ts";

/** Memory of the WebGPU engine: a buffer, from its beginning. */
export interface GpuMemory extends Memory {
  readonly dtype: DType;
  readonly buffer: GPUBuffer;
}

/** Bytes of an element: kernels know words only. */
export const WORD_BYTES = 4;

/** Where bindings may begin: the default limit, which no device undercuts for us. */
export const BINDING_STEP = 256;

/** The first words of a buffer, as floats. */
export function floatsIn(buffer: GPUBuffer, length: number): GpuMemory {
  return { dtype: "f32", length, buffer };
}

/** The buffer behind memory that this engine made. */
export function bufferOf(memory: Memory): GPUBuffer {
  return (memory as GpuMemory).buffer;
}

/** Words of a buffer, bound from the multiple of 256 bytes before them. */
export interface Operand {
  readonly region: Region;
  /** The word of the binding at which they begin. */
  readonly base: number;
}

/** The binding for `words` words of a buffer from byte `offset` on, a multiple of 4. */
export function operandOf(machine: Machine, { buffer, offset = 0 }: Region, words: number, what: string): Operand {
  const before = offset % BINDING_STEP;
  const size = Math.max(WORD_BYTES, before + words * WORD_BYTES);
  if (size > machine.limits.bindingBytes) {
    throw new DeviceError(
      `Cannot bind ${what}: it takes ${size} bytes, and a binding of this device at most ` +
        `${machine.limits.bindingBytes}; use fewer steps or sequences at a time`,
    );
  }
  return { region: { buffer, offset: offset - before, size }, base: before / WORD_BYTES };
}

/** Words that a binding surely holds, wherever they begin. */
export function wordsPerBinding(machine: Machine): number {
  return Math.floor((machine.limits.bindingBytes - BINDING_STEP) / WORD_BYTES);
}

/** The region of a buffer from a word on. */
export function regionAt(buffer: GPUBuffer, word: number): Region {
  return { buffer, offset: word * WORD_BYTES };
}
