import { assembleKernel, type Kernel, type KernelParts } from "./kernel.ts";
import { matrixRowOf, rowOf, SCAN_PARAMS, type ScanElements } from "./scan_elements.ts";

const LANES = 256;
/** Invocations that share a row of A: they read it in order. */
const SHARE = 16;
const AT_ONCE = LANES / SHARE;

/** The largest n whose state fits 16 KiB of workgroup memory twice, beside the partial sums. */
export const WIDE_MOST: number = (4096 - LANES) / 2;

/** The kernel of a scan over matrices that are too large to be multiplied: n ≤ WIDE_MOST. */
export interface WideSpec extends Pick<ScanElements, "size" | "layout" | "reverse" | "adjoint"> {
  /** Before row 0; rows after it continue from the answer. */
  readonly start: "zeros" | "vector";
}

const HEADER = `
s[t] = A[t] s[t-1] + r[t] over units of many components, one row after the other: a workgroup per (sequence, unit).
Sixteen invocations share a row of A, sixteen rows are done at a time; the state is in workgroup memory, twice.
adjoint: A of the row met before, transposed: sixteen share a column, neighbours on neighbouring columns; row 0 takes none
unless the scan goes on from another.
No product of matrices is formed: rows P.firstRow to P.endRow of a dispatch, long scans in several dispatches.
Bytes per row: 4 n (n + 2). Operations: 2 n n. Loops: per row 2 + ceil(n / 16) (2 + ceil(n / 64)) turns.
Workgroup memory: 8 n bytes + 1 KiB.
`;

/** The turns of an invocation for each row; drivers count the last test of an inner loop as one. */
export function wideTurns(n: number): number {
  return 2 + Math.ceil(n / AT_ONCE) * (2 + Math.ceil(n / (4 * SHARE)));
}

/** The arrays of the kernel, by name, in the order of its bindings after the uniform. */
export function wideArrays({ start }: Pick<WideSpec, "start">): KernelParts["bindings"] {
  const floats = (name: string, kind: "read" | "read_write") => ({ name, kind, type: "array<f32>" }) as const;
  const before = start === "vector" ? [floats("START", "read")] : [];
  return [floats("A", "read"), floats("F", "read"), floats("OUT", "read_write"), ...before];
}

/** A scan one row after the other. */
export function wideKernel(spec: WideSpec): Kernel {
  const { size: n, layout, reverse, adjoint, start } = spec;
  if (n > WIDE_MOST) {
    throw new RangeError(`Cannot scan dense matrices: a state of at most ${WIDE_MOST} is expected, got ${n}`);
  }
  const channel = (i: string): string => layout === "contiguous" ? `u * ${n}u + ${i}` : `u + ${i} * P.units`;
  const answer = (r: string, i: string): string =>
    `OUT[P.outBase + ${rowOf(spec, r)} * P.units * ${n}u + ${channel(i)}]`;
  const first = start === "vector" ? `START[P.startBase + b * P.units * ${n}u + ${channel("i")}]` : "0.0";
  const term = (k: number): string => {
    const column = `(j + ${k * SHARE}u)`;
    const sum = `sum += A[at + ${column}${adjoint ? ` * ${n}u` : ""}] * state[half + ${column}];`;
    return k === 0 ? sum : `if (j + ${k * SHARE}u < ${n}u) { ${sum} }`;
  };
  return assembleKernel({
    name: `scan-wide ${n} ${layout}${reverse ? " reverse" : ""}${adjoint ? " adjoint" : ""} ${start}`,
    header: HEADER,
    bindings: [{ name: "P", kind: "uniform", type: "Params" }, ...wideArrays(spec)],
    declarations: [
      SCAN_PARAMS,
      `var<workgroup> state: array<f32, ${2 * n}>;`,
      `var<workgroup> partial: array<f32, ${LANES}>;`,
    ],
    workgroup: LANES,
    main: [
      "let u = group % P.units; let b = group / P.units;",
      "if (b >= P.batch) { return; }",
      `for (var i = lane; i < ${n}u; i += ${LANES}u) {`,
      `if (P.firstRow == 0u) { state[i] = ${first}; } else { state[i] = ${answer("(P.firstRow - 1u)", "i")}; }`,
      "}",
      "workgroupBarrier();",
      adjoint
        ? `let share = lane / ${AT_ONCE}u; let mine = lane % ${AT_ONCE}u;`
        : `let share = lane % ${SHARE}u; let mine = lane / ${SHARE}u;`,
      "for (var r = P.firstRow; r < P.endRow; r++) {",
      `let half = ((r - P.firstRow) & 1u) * ${n}u;`,
      `for (var block = 0u; block < ${n}u; block += ${AT_ONCE}u) {`,
      "let i = block + mine;",
      "var sum = 0.0;",
      // A row without a matrix hands the state on.
      ...(adjoint ? [`if (r < P.bare) { if (share == 0u && i < ${n}u) { sum = state[half + i]; } } else`] : []),
      `if (i < ${n}u) {`,
      `let at = P.matrixBase + (${matrixRowOf(spec, "r")} * P.units + u) * ${n * n}u + i${adjoint ? "" : ` * ${n}u`};`,
      `for (var j = share; j < ${n}u; j += ${4 * SHARE}u) {`,
      ...[0, 1, 2, 3].map(term),
      "}",
      "}",
      "partial[lane] = sum;",
      "workgroupBarrier();",
      `if (share == 0u && i < ${n}u) {`,
      ...Array.from({ length: SHARE - 1 }, (_, k) => `sum += partial[lane + ${(k + 1) * (adjoint ? AT_ONCE : 1)}u];`),
      `sum += F[P.vectorBase + ${rowOf(spec, "r")} * P.units * ${n}u + ${channel("i")}];`,
      `${answer("r", "i")} = sum;`,
      `state[${n}u - half + i] = sum;`,
      "}",
      "workgroupBarrier();",
      "}",
      "}",
    ],
  });
}
