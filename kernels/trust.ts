import type { Kernel, KernelParts } from "./kernel.ts";

// The scan of ELK (Gonzalez et al. 2024, arXiv 2407.19115): δ[t] = Γ[t] (r[t] + G[t] δ[t-1]) with
// P⁻[t] = G[t] P[t-1] G[t]ᵀ + I, Γ[t] = (I + λ P⁻[t])⁻¹, P[t] = Γ[t] P⁻[t]. λ and what is known of it stand in `T`.

/** Words of a sequence in `T`. */
export const TRUST = {
  /** f32: λ of this sweep. */
  damping: 0,
  /** f32: Σ |r|² of the last iterate that was accepted. */
  merit: 1,
  /** 1 if the last sweep left something to compare with. */
  compares: 2,
  /** 1 if what this sweep began with is refused: the iterate before that comes back. */
  refused: 3,
  /** Which of the two iterates in `K` this sweep is to overwrite. */
  parity: 4,
} as const;

export const TRUST_WORDS = 8;

/** WGSL of a word of sequence `b`. */
export function trustWord(field: keyof typeof TRUST, b: string): string {
  return `T[${b} * ${TRUST_WORDS}u + ${TRUST[field]}u]`;
}

const FIELDS = {
  batch: "u32",
  rows: "u32",
  units: "u32",
  /** n, as the bound of loops that compilers are not to unroll. */
  size: "u32",
  chunks: "u32",
  chunkRows: "u32",
  /** The chunks of this dispatch of the spine. */
  first: "u32",
  count: "u32",
  /** Words of each of the three arrays of `K`: f as predicted, and the last two iterates. */
  second: "u32",
  guessBase: "u32",
  /** Of the sums: parts of a sequence, and rows of a part. */
  parts: "u32",
  partRows: "u32",
  atol: "f32",
  rtol: "f32",
  /** Of the rule. */
  balance: "f32",
  near: "f32",
} as const;

/** The uniform of every kernel of the scan; what is left out is 0. */
export type TrustParams = Partial<Record<keyof typeof FIELDS, number>>;

/** WGSL of `TrustParams`. */
export const TRUST_PARAMS: string = `struct Params {\n${
  Object.entries(FIELDS).map(([name, type]) => `  ${name}: ${type},`).join("\n")
}\n}`;

/** The words of the uniform. */
export function packTrustParams(params: TrustParams): Uint32Array {
  const fields = Object.entries(FIELDS) as [keyof typeof FIELDS, string][];
  const words = new Uint32Array(fields.length);
  const floats = new Float32Array(words.buffer);
  fields.forEach(([name, type], i) => (type === "f32" ? floats : words)[i] = params[name] ?? 0);
  return words;
}

/** What the kernels of a scan are made for. */
export interface TrustSpec {
  /** n: units of n states; component p of unit u is state `u n + p` (contiguous) or `u + p U` (strided). */
  readonly size: number;
  readonly layout: "contiguous" | "strided";
  /** λ is raised and lowered: f is predicted, and the iterate kept. */
  readonly adaptive: boolean;
}

/** A kernel, and the names of its arrays in the order of its bindings after the uniform. */
export interface TrustKernel extends Kernel {
  readonly arrays: readonly string[];
}

type Binding = KernelParts["bindings"][number];

/** The uniform and these arrays. */
export function trustBindings(arrays: readonly Binding[]): readonly Binding[] {
  return [{ name: "P", kind: "uniform", type: "Params" }, ...arrays];
}

export const floats = (name: string, kind: "read" | "read_write"): Binding => ({ name, kind, type: "array<f32>" });

/**
 * Words of a chunk and unit: of its rows as a function of the state x before it, the filtered mean A x + b, of variance C,
 * and the information η, J that they hold about x; then, from the spine, mean and variance of x.
 */
export function chunkWords(size: number): number {
  return 4 * size * size + 3 * size;
}

/** First words of the parts of a chunk, in the order of `chunkWords`. */
export function chunkPart(n: number): Readonly<Record<"A" | "b" | "C" | "eta" | "J" | "mean" | "variance", number>> {
  const square = n * n;
  return {
    A: 0,
    b: square,
    C: square + n,
    eta: 2 * square + n,
    J: 2 * square + 2 * n,
    mean: 3 * square + 2 * n,
    variance: 3 * square + 3 * n,
  };
}

/** WGSL of word `w` of chunk `c`, of the unit `u` of sequence `b`: neighbouring units are neighbours. */
export function chunkWord(size: number, c: string, w: number | string): string {
  return `AGG[((b * P.chunks + ${c}) * ${chunkWords(size)}u + ${typeof w === "number" ? `${w}u` : w}) * P.units + u]`;
}

/** WGSL of the word of component `p` of unit u in row `row` of sequence b. */
export function stateAt({ size: n, layout }: TrustSpec, row: string, p: string): string {
  const channel = layout === "contiguous" ? `u * ${n}u + ${p}` : `u + ${p} * P.units`;
  return `(b * P.rows + ${row}) * P.units * ${n}u + ${channel}`;
}

/** WGSL of the first word of the entries of unit u in row `row` of sequence b. */
export function entriesAt({ size: n }: TrustSpec, row: string): string {
  return `((b * P.rows + ${row}) * P.units + u) * ${n * n}u`;
}

/** WGSL: c = 1 / (1 + λ) and κ = λ c. */
export const DAMPING: readonly string[] = [
  `let damping = bitcast<f32>(${trustWord("damping", "b")});`,
  "let c1 = 1.0 / (1.0 + damping); let kappa = damping * c1;",
];

/** WGSL: the first word of the array of `K` that keeps what the sweep began with. */
export const KEEP: string = `let kept = P.second * (1u + ${trustWord("parity", "b")});`;

/** WGSL: the rows of chunk c that are to be visited, `r` the first. */
export const ROWS =
  "let first = c * P.chunkRows; let last = min(first + P.chunkRows, P.rows); var r = max(first, exact);";
