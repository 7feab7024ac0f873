import { type Device, openDevice } from "../../mod.ts";
import { assertClose, assertSame } from "./arrays.ts";
import { missingAdapter } from "../engine/webgpu/adapter.ts";

/** A device that the tables of tests run on; another engine is another row. */
export interface Machine {
  readonly name: string;
  readonly dtype: "f32" | "f64";
  /** The distance from 1 to the next number of its dtype. */
  readonly epsilon: number;
  /**
   * What two pieces of code for one step may differ by, in units of `epsilon` and of the largest number in them. 0 on the
   * CPU: all methods share the code of f, and round nothing but the states. WebGPU rounds every operation, and its kernels
   * sum in orders of their own.
   */
  readonly rounding: number;
  /** Why its tests are skipped on this computer, if they are. */
  readonly missing?: string;
  open(): Promise<Device>;
}

export const MACHINES: readonly Machine[] = [
  {
    name: "cpu f64",
    dtype: "f64",
    epsilon: 2 ** -52,
    rounding: 0,
    open: () => openDevice({ backend: "cpu", dtype: "f64" }),
  },
  {
    name: "cpu f32",
    dtype: "f32",
    epsilon: 2 ** -23,
    rounding: 0,
    open: () => openDevice({ backend: "cpu", dtype: "f32" }),
  },
  {
    name: "webgpu f32",
    dtype: "f32",
    epsilon: 2 ** -23,
    rounding: 4,
    ...(missingAdapter === undefined ? {} : { missing: missingAdapter }),
    open: () => openDevice({ backend: "webgpu" }),
  },
];

/** Those in double precision: for tests that count on its digits. */
export const PRECISE: readonly Machine[] = MACHINES.filter(({ dtype }) => dtype === "f64");

/**
 * The whole of a table on the CPU; on WebGPU one row in `every`, others for each `phase`, so that a test which counts its
 * cases meets all rows: software adapters compile for a second what a GPU runs in a millisecond.
 */
export function someOf<T>({ rounding }: Machine, table: readonly T[], every: number, phase: number): readonly T[] {
  return rounding === 0 ? table : table.filter((_, i) => (i + phase) % every === 0);
}

/**
 * Fails unless `actual` are the states that the sequential method found, where `steps` in a row were computed anew: bit for
 * bit if the machine shares its code of f among the methods.
 */
export function assertSequential(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { rounding, epsilon }: Machine,
  steps: number,
  what: string,
): void {
  if (rounding === 0) assertSame(actual, expected, what);
  else assertClose(actual, expected, rounding * epsilon * steps, what);
}

/** The WebGPU device of a file of tests: kernels are compiled once, and buffers come with what tests before left in them. */
let kept: Device | undefined;

Deno.test.afterAll(async () => await kept?.dispose());

async function run(machine: Machine, fn: (device: Device, machine: Machine) => Promise<void>): Promise<void> {
  if (machine.rounding === 0) {
    await using device = await machine.open();
    return await fn(device, machine);
  }
  const device = kept ??= await machine.open();
  try {
    await fn(device, machine);
  } catch (error) {
    // A device keeps its first error: what fails next is to fail by itself.
    kept = undefined;
    await device.dispose().catch(() => {/* told already */});
    throw error;
  }
}

/** A test on every machine. */
export function testOn(
  machines: readonly Machine[],
  name: string,
  fn: (device: Device, machine: Machine) => Promise<void>,
): void {
  for (const machine of machines) {
    const skipped = machine.missing === undefined ? "" : `: skipped, ${machine.missing}`;
    Deno.test({
      name: `${name} (${machine.name}${skipped})`,
      ignore: machine.missing !== undefined,
      fn: () => run(machine, fn),
    });
  }
}
