import { COPY_KERNEL, FILL_KERNEL } from "../../kernels/copy.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { matmulKernel } from "../../kernels/matmul.ts";
import { reduceKernel } from "../../kernels/reduce.ts";
import type { ScanElements, ScanStart } from "../../kernels/scan_elements.ts";
import { lanesKernel } from "../../kernels/scan_lanes.ts";
import { spineKernel } from "../../kernels/scan_spine.ts";
import { TILE_MOST, tileKernel } from "../../kernels/scan_tile.ts";
import { timeKernel } from "../../kernels/scan_time.ts";
import { WIDE_MOST, wideKernel } from "../../kernels/scan_wide.ts";

const SINKS = ["recurrence", "update", "first-order", "absolute"] as const;
const STARTS: readonly ScanStart[] = ["zeros", "vector", "aggregates"];
const PHASES = ["reduce", "apply"] as const;
const FORMS = [
  { matrix: "scalar", size: 1, layout: "contiguous" },
  { matrix: "full", size: 1, layout: "contiguous" },
  { matrix: "full", size: 2, layout: "strided" },
  { matrix: "full", size: 3, layout: "contiguous" },
  { matrix: "full", size: 4, layout: "strided" },
  { matrix: "identity", size: 1, layout: "contiguous" },
] as const;

function elementsOf(sink: ScanElements["sink"]): ScanElements[] {
  return FORMS.flatMap((form): ScanElements[] => {
    if (sink !== "recurrence") return [{ ...form, sink, reverse: false }];
    const plain = [false, true].map((reverse) => ({ ...form, sink, reverse }));
    return form.matrix === "identity" ? plain : [...plain, { ...form, sink, reverse: true, adjoint: true }];
  });
}

/** A sweep begins with an update of zero, an error scan with the error of the window before. */
function startsOf({ sink, adjoint }: ScanElements): readonly ScanStart[] {
  if (sink === "recurrence") return adjoint ? ["zeros", "aggregates"] : STARTS;
  return [sink === "update" ? "zeros" : "vector", "aggregates"];
}

const lanes = SINKS.flatMap((sink) =>
  elementsOf(sink).flatMap((elements) => [
    lanesKernel({ ...elements, phase: "reduce", start: "zeros" }),
    ...startsOf(elements).map((start) => lanesKernel({ ...elements, phase: "apply", start })),
  ])
);
const free = SINKS.map((sink) =>
  lanesKernel({ sink, matrix: "zero", size: 1, layout: "contiguous", reverse: false, phase: "apply", start: "zeros" })
);
const spines = FORMS.filter(({ matrix }) => matrix !== "scalar").flatMap(({ matrix, size, layout }) =>
  [false, true].flatMap((tamed) => {
    const spec = { matrix: matrix === "identity" ? matrix : "full", size, layout, tamed } as const;
    return [
      spineKernel({ ...spec, phase: "reduce", start: "zeros" }),
      ...STARTS.map((start) => spineKernel({ ...spec, phase: "apply", start })),
    ];
  })
);
const times = SINKS.flatMap((sink) =>
  elementsOf(sink).filter(({ size }) => size === 1).flatMap(({ matrix, reverse, adjoint = false }) =>
    PHASES.map((phase) => timeKernel({ sink, matrix, reverse, adjoint, phase }))
  )
);
const tiles = [5, 6, 16, 31, TILE_MOST].flatMap((size) =>
  (["rows", "aggregates"] as const).flatMap((source) => {
    const spec = { size, source, layout: size % 2 === 0 ? "strided" : "contiguous", reverse: size === 31 } as const;
    return (source === "rows" && [6, TILE_MOST].includes(size) ? [false, true] : [false]).flatMap((adjoint) => [
      tileKernel({ ...spec, adjoint, phase: "reduce", start: "zeros" }),
      ...STARTS.map((start) => tileKernel({ ...spec, adjoint, phase: "apply", start })),
    ]);
  })
);
const wide = [TILE_MOST + 1, WIDE_MOST].flatMap((size) => [
  ...(["zeros", "vector"] as const).map((start) => wideKernel({ size, layout: "contiguous", reverse: false, start })),
  wideKernel({ size, layout: "contiguous", reverse: true, adjoint: true, start: "vector" }),
]);
const arrays = [
  COPY_KERNEL,
  FILL_KERNEL,
  ...(["ab", "abt", "atb"] as const).map(matmulKernel),
  ...(["sum", "max", "max-abs"] as const).map(reduceKernel),
];

/** Kernels of scans and arrays of every kind; each code once. */
export const SCAN_AND_ARRAY_KERNELS: readonly Kernel[] = [
  ...new Map(
    [...lanes, ...free, ...spines, ...times, ...tiles, ...wide, ...arrays].map((kernel) => [kernel.code, kernel]),
  )
    .values(),
];
