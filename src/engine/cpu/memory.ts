import type { DType, HostArray } from "../../core/types.ts";
import { DeviceError } from "../../core/errors.ts";
import type { Memory } from "../engine.ts";

/** Memory of the CPU engine: a typed array. */
export interface CpuMemory extends Memory {
  readonly array: HostArray;
}

const CONSTRUCTORS = { f32: Float32Array, f64: Float64Array, u32: Uint32Array, i32: Int32Array } as const;

/** Zeroed memory. */
export function allocateArray(dtype: DType, length: number, label: string): CpuMemory {
  try {
    return { dtype, length, array: new CONSTRUCTORS[dtype](length) };
  } catch (cause) {
    const bytes = length * CONSTRUCTORS[dtype].BYTES_PER_ELEMENT;
    throw new DeviceError(
      `Cannot allocate ${label}: ${bytes} bytes are more than this machine gives; solve fewer steps or sequences at a time`,
      { cause },
    );
  }
}

/** The array behind memory that this engine made. */
export function arrayOf(memory: Memory): HostArray {
  return (memory as CpuMemory).array;
}

/** Parameters as kernels read them: in f64, which saves a conversion at every multiplication. */
export function parameterArray(memory: Memory): Float64Array {
  const array = arrayOf(memory);
  return array instanceof Float64Array ? array : Float64Array.from(array);
}
