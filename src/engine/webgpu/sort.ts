import {
  DIGIT_BITS,
  SORT_COUNT_KERNEL,
  SORT_OFFSETS_KERNEL,
  SORT_TILE,
  sortPlaceKernel,
  TILES_AT_ONCE,
} from "../../../kernels/sort.ts";
import { withBuffer } from "./arrays.ts";
import type { Machine } from "./machine.ts";
import type { Operand } from "./memory.ts";

const PLACE_FIRST = sortPlaceKernel(true);
const PLACE = sortPlaceKernel(false);
const COUNTS_PER_TILE = 2 ** DIGIT_BITS;

/** Keys in rising order, and which they were. */
export interface SortedKeys {
  readonly keys: GPUBuffer;
  readonly order: GPUBuffer;
}

/** Lends `use` the keys in rising order, equal ones in theirs; keys above `most` count as `most`. */
export function withSorted(
  machine: Machine,
  { region, base }: Operand,
  count: number,
  most: number,
  use: (sorted: SortedKeys) => void,
): void {
  const passes = Math.max(1, Math.ceil(Math.log2(most + 1) / DIGIT_BITS));
  const tiles = Math.ceil(count / SORT_TILE / TILES_AT_ONCE) * TILES_AT_ONCE;
  withBuffer(machine, tiles * COUNTS_PER_TILE, "digits of keys", (counts) => {
    const pass = (index: number, from: SortedKeys | null): void => {
      if (index === passes) return use(from!);
      withBuffer(machine, count, "sorted keys", (keys) => {
        withBuffer(machine, count, "the order of keys", (order) => {
          const keyBase = from === null ? base : 0;
          const uniform = machine.uniform(Uint32Array.of(count, tiles, index * DIGIT_BITS, most, keyBase));
          const source = from === null ? region : { buffer: from.keys };
          const run = (kernel: typeof PLACE, groups: number, ...regions: Parameters<Machine["bind"]>[1]): void =>
            machine.dispatch(kernel, machine.bind(kernel, [uniform, ...regions]), groups);
          run(SORT_COUNT_KERNEL, tiles, source, { buffer: counts });
          run(SORT_OFFSETS_KERNEL, 1, { buffer: counts });
          const to = [{ buffer: counts }, { buffer: keys }, { buffer: order }];
          if (from === null) run(PLACE_FIRST, tiles, source, ...to);
          else run(PLACE, tiles, source, { buffer: from.order }, ...to);
          pass(index + 1, { keys, order });
        });
      });
    };
    pass(0, null);
  });
}
