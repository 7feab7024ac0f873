/**
 * Kernels that every compiler must accept, with the same numbers: Deno's WebGPU (naga) and a browser's (Tint), see
 * tests/browser. The table runs in pages too: nothing here may name `Deno` or import `@std`.
 */

import { functionsOf } from "../../kernels/functions.ts";
import { assembleKernel, type Kernel } from "../../kernels/kernel.ts";
import { INDEX_KERNELS } from "./index_kernels.ts";
import { KALMAN_KERNELS } from "./kalman_kernels.ts";
import { MAP_KERNELS } from "./map_kernels.ts";
import { OPERATOR_KERNELS } from "./operator_kernels.ts";
import { SCAN_AND_ARRAY_KERNELS } from "./scan_kernels.ts";
import { SOLVER_KERNELS } from "./solver_kernels.ts";
import { createRandom } from "../../src/core/random.ts";

/** How the words of a buffer are compared: as numbers, as bits, or not at all. */
export type WordKind = "f32" | "u32" | "any";

/** What a kernel finds in a buffer, and for those it writes, how its answers are compared. */
export interface CaseBuffer {
  readonly data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;
  /** By default the type of `data`; a list is repeated over the buffer, as for the words of a sequence's state. */
  readonly kind?: WordKind | readonly WordKind[];
  /** Numbers agree if |a - b| <= absolute + relative |b|; 1e-6 and 1e-5 by default. */
  readonly absolute?: number;
  readonly relative?: number;
}

/** One kernel; without `run` it is compiled only. */
export interface KernelCase {
  readonly name: string;
  readonly kernel: Kernel;
  readonly run?: {
    /** In the order of `kernel.bindings`. */
    readonly buffers: readonly CaseBuffer[];
    /** Workgroups. */
    readonly grid: number;
    /** The kernel must leave every buffer as it is; otherwise it must change what it may write. */
    readonly idle?: true;
  };
}

/** Reproducible numbers, uniform in ±bound. */
export function floats(count: number, bound: number, seed: number): Float32Array<ArrayBuffer> {
  const random = createRandom(seed);
  return Float32Array.from({ length: count }, () => bound * (2 * random.uniform() - 1));
}

/** The functions that kernels use, over arguments that reach all their branches. */
function functionCase(expression: string, bound: number, given: readonly number[] = []): KernelCase {
  const xs = Float32Array.of(...given, ...floats(500, bound, 1));
  const kernel = assembleKernel({
    name: `function ${expression}`,
    header: `out[i] = ${expression} at x = xs[i]; one invocation each.`,
    bindings: [
      { name: "xs", kind: "read", type: "array<f32>" },
      { name: "out", kind: "read_write", type: "array<f32>" },
    ],
    declarations: functionsOf(expression),
    workgroup: 64,
    main: [
      "let i = group * 64u + lane;",
      "if (i >= arrayLength(&out)) { return; }",
      "let x = xs[i];",
      `out[i] = ${expression};`,
    ],
  });
  const buffers = [{ data: xs }, { data: new Float32Array(xs.length) }];
  return { name: kernel.name, kernel, run: { buffers, grid: Math.ceil(xs.length / 64) } };
}

/** Neither NaN nor infinity: where finite arguments lead is left to WGSL's own rules. */
const EDGES = [0, 1e-30, -1e-30, 0.29, -0.29, 0.31, -0.31, 15, -15, 16, 87, -87, 88, -88, 100, -100, 1e30, -1e30];

export const KERNEL_CASES: readonly KernelCase[] = [
  // What these compute is tested on Deno's WebGPU, and in the browser by the solves of its page.
  ...[
    ...SCAN_AND_ARRAY_KERNELS,
    ...INDEX_KERNELS,
    ...SOLVER_KERNELS,
    ...MAP_KERNELS,
    ...OPERATOR_KERNELS,
    ...KALMAN_KERNELS,
  ].map((kernel) => ({ name: kernel.name, kernel })),
  functionCase("tanhOf(x)", 3, [...EDGES, NaN]),
  functionCase("sigmoidOf(x)", 10, [...EDGES, NaN]),
  functionCase("softplusOf(x)", 10, [...EDGES, NaN]),
  functionCase("sinOf(x)", 30, [NaN, Infinity, -Infinity]),
  functionCase("cosOf(x)", 30, [NaN, Infinity, -Infinity]),
  functionCase("powOf(x, 3.0)", 3, [0, 1, -1, 1e-3, NaN]),
  functionCase("powOf(abs(x), 0.7)", 3, [0, 1, 1e-3, NaN]),
  functionCase("maxOf(x, 0.5)", 1, [NaN, Infinity, -Infinity]),
];
