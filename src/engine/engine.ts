import type { DType, HostArray } from "../core/types.ts";
import type { StepProgram } from "../trace/program.ts";
import type { RowProgram } from "../trace/rows.ts";
import type { Transition } from "../trace/transition.ts";
import type { StoppingRule } from "./verdict.ts";

/** Memory of an engine: a typed array, a GPU buffer. Only the engine that made it looks inside. */
export interface Memory {
  readonly dtype: DType;
  /** In elements. */
  readonly length: number;
}

/** An array that a function over rows reads. */
export interface RowInput {
  /** `(B, T, size)`; `(B, size)` where the input is per sequence */
  readonly memory: Memory;
  /** `(B, |shift|, size)`: the rows before the first of a sequence, for negative shifts after its last; null for zeros */
  readonly start: Memory | null;
}

/** A traced function over all rows (b, t): `outputs[b, t] = f(inputs[b, t - shift]; params, t)`. No output is an input. */
export interface MapJob {
  readonly program: RowProgram;
  readonly params: readonly Memory[];
  /** In the order of the program's inputs. */
  readonly inputs: readonly RowInput[];
  /** `(B, T, size)` each, in the order of the program's outputs. */
  readonly outputs: readonly Memory[];
  readonly batch: number;
  readonly time: number;
}

/** The elements that a scan combines: affine maps, by the form of their matrix. */
export type MonoidKind = "scalar" | "diagonal" | "block" | "dense";

/**
 * `y[t] = a[t] y[t-1] + b[t]`, or with `reverse` `y[t] = a[t] y[t+1] + b[t]`; all row-major. With `adjoint` the matrix that
 * was met before, transposed: `y[t] = a[t-1]ᵀ y[t-1] + b[t]`, reversed `y[t] = a[t+1]ᵀ y[t+1] + b[t]`, where the first row
 * met is `h0 + b`: the scan that takes a cotangent back through the scan of the other direction.
 */
export interface ScanJob {
  readonly monoid: MonoidKind;
  /** `(B, T)` scalar, `(B, T, D)` diagonal, `(B, T, D/k, k, k)` block, `(B, T, D, D)` dense */
  readonly a: Memory;
  /** `(B, T, D)` */
  readonly b: Memory;
  /** `(B, D)`, null for zeros */
  readonly h0: Memory | null;
  /** `(B, T, D)` */
  readonly out: Memory;
  readonly batch: number;
  readonly time: number;
  readonly state: number;
  /** k of block */
  readonly block?: number;
  readonly reverse: boolean;
  readonly adjoint?: boolean;
}

/**
 * The inclusive scan `out[t] = e[0] ∘ e[1] ∘ ... ∘ e[t]` with an associative operator, `earlier ∘ later`; with `reverse` the
 * scan of the reversed arrays, reversed: `out[t] = e[T-1] ∘ ... ∘ e[t]`.
 */
export interface OperatorScanJob {
  /** Its inputs are the leaves of the earlier element, then those of the later one; its outputs theirs together. */
  readonly program: RowProgram;
  readonly params: readonly Memory[];
  /** `(B, T, size)` each, in the order of the program's outputs. */
  readonly inputs: readonly Memory[];
  /** The same; none of them is an input. */
  readonly outputs: readonly Memory[];
  readonly batch: number;
  readonly time: number;
  readonly reverse: boolean;
}

/** Which of the two matrices of a product is stored transposed. */
export type MatmulForm = "ab" | "abt" | "atb";

/** `out (M, N) = a b`, `a bᵀ` or `aᵀ b`, all row-major: `a (M, K)`, with "atb" `(K, M)`; `b (K, N)`, with "abt" `(N, K)`. */
export interface MatmulJob {
  readonly a: Memory;
  readonly b: Memory;
  readonly out: Memory;
  /** M, K and N */
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  readonly form: MatmulForm;
}

/** `out[o, i] = op over r of input[o, r, i]`: `(outer, length, inner)` to `(outer, inner)`. */
export interface ReduceJob {
  readonly op: "sum" | "max" | "max-abs";
  readonly input: Memory;
  readonly out: Memory;
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
}

/** `out[n, i] = table[indices[n], i]`, NaN where an index is no row: `(rows, width)` to `(count, width)`. */
export interface GatherJob {
  readonly table: Memory;
  /** u32 or i32 */
  readonly indices: Memory;
  readonly out: Memory;
  readonly rows: number;
  readonly width: number;
  readonly count: number;
}

/** `out[r, i] = Σ from[n, i]` over the n with `indices[n] = r`: the transpose of a gather; what is no row is left out. */
export interface ScatterAddJob {
  readonly from: Memory;
  /** u32 or i32 */
  readonly indices: Memory;
  readonly out: Memory;
  readonly rows: number;
  readonly width: number;
  readonly count: number;
}

/** Where a solve starts from. */
export type Guess =
  | { readonly kind: "zeros" | "h0" | "f0" }
  /** A trajectory `(B, T, D)`; what is not finite in it counts as 0. */
  | { readonly kind: "given"; readonly memory: Memory }
  /** The same one by one, `(T, D)` for each sequence; null for f0. */
  | { readonly kind: "each"; readonly memories: readonly (Memory | null)[] };

/** One solve as data. Everything that a method is to an engine stands in `transition`. */
export interface SweepJob {
  readonly program: StepProgram;
  readonly transition: Transition;
  readonly params: readonly Memory[];
  /** `(B, T, I)`, null if the step has no input */
  readonly xs: Memory | null;
  /** `(B, D)` */
  readonly h0: Memory;
  readonly guess: Guess;
  /** `(B, T, D)`: receives the answer */
  readonly ys: Memory;
  readonly batch: number;
  readonly time: number;
  /** Steps per window; the state is carried from one to the next. */
  readonly window: number;
  readonly rule: StoppingRule;
  /** In each window. */
  readonly maxSweeps: number;
  readonly keepIterates: boolean;
  /** Nobody will ask for the verdict: a window that is not solved is NaN, not what the last sweep left. */
  readonly strict?: boolean;
}

/** `first-order`: e[t] = J[t] e[t-1] + r[t], an estimate. `absolute`: |J[t]| e[t-1] + |r[t]|, never below it. */
export type ErrorKind = "first-order" | "absolute";

/** How one sequence ended. */
export interface SequenceVerdict {
  readonly result: "successful" | "max-sweeps-reached" | "nonfinite";
  /** Summed over windows. */
  readonly sweeps: number;
  /** nonfinite: the first t at which the true trajectory is not finite. */
  readonly firstNonfinite?: number;
  /** max-sweeps-reached: the first t of the window that was not solved. */
  readonly unsolvedFrom?: number;
}

/** A solve under way, owned by its engine. */
export interface SweepRun {
  readonly job: SweepJob;
  /** The largest update of the last sweep in units of the tolerance, NaN where only the device knows. */
  readonly residual: number;
  /** The iterates `(B, T, D)` kept so far, the guess first; who frees them takes them out. */
  readonly iterates: Memory[];
}

/** What is known of a run at its end. */
export interface Verdict {
  readonly sequences: readonly SequenceVerdict[];
  /** The largest update after each sweep, windows one after the other. */
  readonly residuals: readonly number[];
  /** Per sequence `max |e|`, where it was measured. */
  readonly errorBound?: readonly number[];
  readonly gpuMs?: Readonly<Record<string, number>>;
}

/**
 * What a machine can do: a handful of primitives, each a description plus memory. Nothing here names a method, a cell or
 * a kernel. No call waits: work is queued in order, and only `read`, `verdict` and `dispose` return promises.
 */
export interface Engine {
  readonly backend: "cpu" | "webgpu";
  readonly dtype: "f32" | "f64";
  readonly description: string;
  /** What kind of machine it is, for estimates of cost. */
  readonly speed: "cpu" | "software" | "hardware";

  /** Compiles what solves of about such sizes will run. */
  warm(program: StepProgram, transition: Transition, batch: number, time: number): Promise<void>;

  /** Copies `data` to the machine, converting floats to the engine's own dtype. */
  upload(data: HostArray, label?: string): Memory;
  /** Memory with unspecified contents. */
  allocate(dtype: DType, length: number, label?: string): Memory;
  /** A copy in host memory, after all queued work. */
  read(memory: Memory): Promise<HostArray>;
  /** Copies rows: `to[toStart + r toStride + i] = from[fromStart + r fromStride + i]`, `i < width`, `r < rows`. */
  copy(from: Memory, to: Memory, rows: CopyRows): void;
  free(memory: Memory): void;

  map(job: MapJob): void;
  scan(job: ScanJob): void;
  scanWith(job: OperatorScanJob): void;
  matmul(job: MatmulJob): void;
  reduce(job: ReduceJob): void;
  gather(job: GatherJob): void;
  scatterAdd(job: ScatterAddJob): void;

  /** The longest window whose working memory is affordable; a solve may ask for less. */
  affordableWindow(job: Omit<SweepJob, "window" | "ys" | "rule" | "maxSweeps">): number;
  beginRun(job: SweepJob): SweepRun;
  /** Hoists and guesses for steps `start` to `start + length`. Sequences that failed stay failed; "done": all did. */
  enterWindow(run: SweepRun, start: number, length: number): "done" | "running" | "later";
  /** One linearise + scan + residual. "done": no sequence is running; "later": only the device knows. */
  sweep(run: SweepRun): "done" | "running" | "later";
  /** Whether no sequence of the present window is running; waits for the work so far. */
  settled(run: SweepRun): Promise<boolean>;
  /** The window is done as far as it will be: its rows of `ys` are what they will be. */
  leaveWindow(run: SweepRun): void;
  verdict(run: SweepRun): Promise<Verdict>;
  /** The scan of `Verdict.errorBound` over the present window, to be asked for after it was left. */
  measureError(run: SweepRun, kind: ErrorKind): void;
  /** Frees all that the run took, except `ys` and its iterates. */
  endRun(run: SweepRun): void;
  /** Ends a run whose verdict is wanted later, or never: frees all that `endRun` frees but the few words that say it. */
  closeRun(run: SweepRun): () => Promise<Verdict>;

  dispose(): Promise<void>;
}

/** The rows of a strided copy, in elements; `fromStride` may be negative: rows are read backward. */
export interface CopyRows {
  readonly fromStart: number;
  readonly fromStride: number;
  readonly toStart: number;
  readonly toStride: number;
  readonly width: number;
  readonly rows: number;
}
