import type { MapPlan } from "./map_plan.ts";

/** Arrays that a kernel reads through one binding: the same memory, or copies of several arrays side by side. */
export interface Slot {
  readonly kind: "parameter" | "sequence" | "step";
  /** Words of a row. */
  readonly width: number;
  readonly members: readonly { readonly array: number; readonly offset: number }[];
  /** Whether the members are copied into memory of its own. */
  readonly packed: boolean;
}

/** Reads of the same memory that are further apart are bound by themselves. */
const NEAR_ROWS = 16;

/** Bindings for arrays, one for each memory. */
export function layOut(
  { arrays }: Pick<MapPlan, "arrays">,
  used: Iterable<number>,
  memoryOf: (array: number) => number,
): Slot[] {
  const slots = new Map<string, Slot>();
  for (const array of used) {
    const { kind, size, shift } = arrays[array]!;
    const key = `${memoryOf(array)} ${kind} ${size} ${Math.abs(shift) > NEAR_ROWS ? shift : ""}`;
    const members = slots.get(key)?.members ?? [];
    slots.set(key, { kind, width: size, members: [...members, { array, offset: 0 }], packed: false });
  }
  return [...slots.values()];
}

/** At most `most` bindings, at least 3: the smallest arrays are put side by side, first parameters, then those of sequences. */
export function packSlots(slots: readonly Slot[], most: number): Slot[] {
  let packed = [...slots];
  for (const kind of ["parameter", "sequence", "step"] as const) {
    const smallest = packed.filter((slot) => slot.kind === kind).sort((a, b) => a.width - b.width)
      .slice(0, Math.max(0, packed.length - most + 1));
    if (smallest.length < 2) continue;
    let width = 0;
    const members = smallest.flatMap((slot) => {
      const moved = slot.members.map(({ array }) => ({ array, offset: width }));
      width += slot.width;
      return moved;
    });
    packed = [...packed.filter((slot) => !smallest.includes(slot)), { kind, width, members, packed: true }];
  }
  return packed;
}
