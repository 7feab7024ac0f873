/** The kernels that gather rows by their numbers and add them up. Runs in pages too. */

import { GATHER_KERNEL } from "../../kernels/gather.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { segmentKernel } from "../../kernels/segments.ts";
import { SORT_COUNT_KERNEL, SORT_OFFSETS_KERNEL, sortPlaceKernel } from "../../kernels/sort.ts";

export const INDEX_KERNELS: readonly Kernel[] = [
  GATHER_KERNEL,
  SORT_COUNT_KERNEL,
  SORT_OFFSETS_KERNEL,
  sortPlaceKernel(true),
  sortPlaceKernel(false),
  segmentKernel(true),
  segmentKernel(false),
];
