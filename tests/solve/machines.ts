import { type Device, openDevice } from "../../mod.ts";

/** A device that the tables of tests run on; another engine is another row. */
export interface Machine {
  readonly name: string;
  readonly dtype: "f32" | "f64";
  /** The distance from 1 to the next number of its dtype. */
  readonly epsilon: number;
  /** Why its tests are skipped on this computer, if they are. */
  readonly missing?: string;
  open(): Promise<Device>;
}

export const MACHINES: readonly Machine[] = [
  { name: "cpu f64", dtype: "f64", epsilon: 2 ** -52, open: () => openDevice({ backend: "cpu", dtype: "f64" }) },
  { name: "cpu f32", dtype: "f32", epsilon: 2 ** -23, open: () => openDevice({ backend: "cpu", dtype: "f32" }) },
];

/** Those in double precision: for tests that count on its digits. */
export const PRECISE: readonly Machine[] = MACHINES.filter(({ dtype }) => dtype === "f64");

/** A test on every machine, each with a device of its own. */
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
      fn: async () => {
        await using device = await machine.open();
        await fn(device, machine);
      },
    });
  }
}
