import { STATE, STATE_WORDS } from "../../kernels/sequence.ts";
import { packTrustParams, type TrustKernel, type TrustParams } from "../../kernels/trust.ts";
import type { Machine } from "../../src/engine/webgpu/machine.ts";
import { Guarded } from "./scan_support.ts";

type Arrays = Readonly<Record<string, Float32Array | Uint32Array>>;

/** Dispatches of a kernel, one for each of `parts`, on arrays by name; answers them all as bits. */
export async function run(
  machine: Machine,
  kernel: TrustKernel,
  groups: number,
  arrays: Arrays,
  parts: readonly TrustParams[],
): Promise<Record<string, Uint32Array>> {
  const memory = kernel.arrays.map((name) => new Guarded(machine, arrays[name]!));
  for (const part of parts) {
    const uniform = machine.uniform(packTrustParams(part));
    machine.dispatch(kernel, machine.bind(kernel, [uniform, ...memory.map(({ region }) => region)]), groups);
  }
  const found: Record<string, Uint32Array> = {};
  for (const [i, name] of kernel.arrays.entries()) found[name] = await memory[i]!.take();
  return found;
}

export const floats = (words: Uint32Array): Float32Array => new Float32Array(words.buffer);
export const bits = (values: readonly number[]): Uint32Array => new Uint32Array(Float32Array.from(values).buffer);

/** Words of the state of sequences. */
export function states(fields: readonly Partial<Record<keyof typeof STATE, number>>[]): Uint32Array {
  const words = new Uint32Array(fields.length * STATE_WORDS);
  for (const [b, given] of fields.entries()) {
    for (const [field, value] of Object.entries(given)) {
      words[b * STATE_WORDS + STATE[field as keyof typeof STATE]] = value;
    }
  }
  return words;
}

export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
