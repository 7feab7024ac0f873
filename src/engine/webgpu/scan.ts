import { packScanParams, type ScanElements, type ScanParams } from "../../../kernels/scan_elements.ts";
import { STATE_WORDS } from "../../../kernels/sequence.ts";
import type { Machine, Region } from "./machine.ts";
import { BINDING_STEP, type Operand, operandOf, WORD_BYTES } from "./memory.ts";
import { scanForm, type ScanKernel, wideForm } from "./scan_forms.ts";
import { planScan, type ScanLevel, type ScanPlan } from "./scan_plan.ts";
import { Spine } from "./spine.ts";
import type { Recorded } from "./window.ts";

/** An affine scan `s[t] = A[t] s[t-1] + r[t]` over `units` units of `size` components: D = units · size channels. */
export interface AffineScanSpec extends ScanElements {
  readonly batch: number;
  /** Rows L of a sequence. */
  readonly time: number;
  /** The distance of two sequences in memory, in rows; `time` if it is left out. */
  readonly stride?: number;
  readonly units: number;
  /** adjoint: its first row takes a matrix, which lies before those of the other rows in the order of the scan. */
  readonly continues?: boolean;
  readonly atol?: number;
  readonly rtol?: number;
}

/** The memory of a scan. Offsets are multiples of 4 bytes, of `state` and `carry` of 256. */
export interface AffineScanBuffers {
  /** `(B, L)` of a scalar matrix, `(B, L, U, n, n)` of a full one; of a scan that continues with a row beside them */
  readonly matrix?: Region;
  /** `(B, L, D)`: b, of sweeps f at the iterate */
  readonly vector: Region;
  /** `(B, L, D)`: the answer, of sweeps the iterate */
  readonly out: Region;
  /** `(B, D)`, zeros if it is left out; recurrence only */
  readonly start?: Region;
  /** update: `(B, L, D)` */
  readonly guess?: Region;
  /** sweeps: `STATE_WORDS` words per sequence */
  readonly state?: Region;
  /** error scans: `(B, D)`, the error before the first row, then that of the last */
  readonly carry?: Region;
}

/** Arrays by the names that kernels give them. */
type Arrays = Readonly<Record<string, Operand | undefined>>;

/**
 * A scan that is prepared once and recorded as often as it is wanted: its aggregates are allocated, its kernels compiled
 * and its bind groups made here. No method of it waits.
 */
export class AffineScan {
  readonly plan: ScanPlan;
  readonly #machine: Machine;
  readonly #spec: AffineScanSpec;
  readonly #passes: Recorded[] = [];
  #maps: GPUBuffer | undefined;
  #spine: Spine | undefined;

  constructor(machine: Machine, spec: AffineScanSpec, buffers: AffineScanBuffers) {
    this.#machine = machine;
    // What has no entries of its own couples no components.
    const [size, units] = spec.matrix === "full" ? [spec.size, spec.units] : [1, spec.units * spec.size];
    this.#spec = { ...spec, size, units };
    this.plan = planScan(this.#spec);
    if (spec.sink !== "recurrence" && (this.plan.form === "tile" || this.plan.form === "wide" || spec.reverse)) {
      throw new RangeError(
        `Cannot scan: sweeps go forward over blocks of at most 4, got blocks of ${size}${
          spec.reverse ? " in reverse" : ""
        }`,
      );
    }
    if (spec.adjoint && (spec.sink !== "recurrence" || !["scalar", "full"].includes(spec.matrix))) {
      throw new RangeError(
        `Cannot scan: only recurrences with matrices have an adjoint, got ${spec.sink} of ${spec.matrix}`,
      );
    }
    if (spec.batch * spec.time * units > 0) this.#prepare(buffers);
  }

  /** Its dispatches, in order, for those who record them themselves. */
  get dispatches(): readonly Recorded[] {
    return this.#passes;
  }

  /** Records its dispatches. */
  record(): void {
    for (const { kernel, group, count } of this.#passes) this.#machine.dispatch(kernel, group, count);
  }

  /** Gives the aggregates back; recorded work may still use them. */
  dispose(): void {
    this.#spine?.dispose();
    this.#spine = undefined;
    if (this.#maps !== undefined) this.#machine.pool.release(this.#maps);
    this.#maps = undefined;
    this.#passes.length = 0;
  }

  #prepare(buffers: AffineScanBuffers): void {
    const { rows, chunks, chunkRows, form, spine } = this.plan;
    const arrays = this.#bindArrays(buffers);
    const start = arrays.START === undefined ? "zeros" : "vector";
    if (form === "wide") {
      const { kernel, ...rest } = wideForm(this.#spec, start);
      for (let firstRow = 0; firstRow < rows; firstRow += chunkRows) {
        const endRow = Math.min(rows, firstRow + chunkRows);
        this.#add({ kernel, ...rest }, { rows, chunks: 1, chunkRows }, arrays, { firstRow, endRow });
      }
      return;
    }
    const kernels = scanForm(form, this.#spec);
    const level: ScanLevel = { rows, chunks, chunkRows };
    if (spine.length === 0) return this.#add(kernels.apply(start), level, arrays);
    const maps = this.#allocate(chunks, kernels.words);
    this.#add(kernels.reduce(), level, { ...arrays, AGG: maps });
    const { batch, units } = this.#spec;
    this.#spine = new Spine(this.#machine, { batch, chunks, units, kernels }, maps, arrays.START);
    this.#passes.push(...this.#spine.dispatches);
    this.#add(kernels.apply("aggregates"), level, { ...arrays, AGG: maps });
  }

  #bindArrays({ matrix, vector, out, start, guess, state, carry }: AffineScanBuffers): Arrays {
    const { batch, time, stride = time, units, size } = this.#spec;
    for (const region of [state, carry]) {
      if ((region?.offset ?? 0) % BINDING_STEP !== 0) {
        throw new RangeError(
          `Cannot scan: state and carry must begin at multiples of ${BINDING_STEP} bytes, got ${region!.offset}`,
        );
      }
    }
    const bind = (region: Region | undefined, words: number, what: string): Operand | undefined =>
      region && operandOf(this.#machine, region, words, what);
    const [rows, width] = [(batch - 1) * stride + time, units * size];
    const answer = bind(out, rows * width, "the answer of a scan");
    return {
      A: matrix && this.#bindMatrices(matrix, rows, this.#spec.matrix === "scalar" ? 1 : width * size),
      F: bind(vector, rows * width, "the vectors of a scan"),
      Y: answer,
      OUT: answer,
      GUESS: bind(guess, rows * width, "the guess of a scan"),
      START: bind(start ?? carry, batch * width, "the start of a scan"),
      CARRY: bind(carry, batch * width, "the start of a scan"),
      S: bind(state, batch * STATE_WORDS, "the state of a scan"),
    };
  }

  /** Matrices from that of the first row on; of a scan that continues, kernels reach one row beyond. */
  #bindMatrices({ buffer, offset = 0 }: Region, rows: number, words: number): Operand {
    const { continues, reverse } = this.#spec;
    const what = "the matrices of a scan";
    if (!continues) return operandOf(this.#machine, { buffer, offset }, rows * words, what);
    const ahead = reverse ? 0 : words;
    const { region, base } = operandOf(
      this.#machine,
      { buffer, offset: offset - ahead * WORD_BYTES },
      (rows + 1) * words,
      what,
    );
    return { region, base: base + ahead };
  }

  #allocate(count: number, words: number): Operand {
    const total = this.#spec.batch * count * this.#spec.units * words;
    const buffer = this.#machine.pool.allocate(total * WORD_BYTES, "aggregates of a scan");
    this.#maps = buffer;
    return operandOf(this.#machine, { buffer }, total, "the aggregates of a scan");
  }

  #add({ kernel, arrays, perGroup }: ScanKernel, level: ScanLevel, memory: Arrays, range: ScanParams = {}): void {
    const { batch, time, stride = time, units, adjoint, continues, atol = 0, rtol = 0 } = this.#spec;
    const { rows, chunks, chunkRows } = level;
    const uniform = this.#machine.uniform(packScanParams({
      ...{ batch, units, stride, rows, chunks, chunkRows, atol, rtol },
      matrixBase: memory.A?.base ?? 0,
      vectorBase: memory.F?.base ?? 0,
      outBase: memory.OUT?.base ?? 0,
      guessBase: memory.GUESS?.base ?? 0,
      startBase: memory.START?.base ?? 0,
      bare: adjoint && !continues ? 1 : 0,
      ...range,
    }));
    this.#machine.compile(kernel);
    const regions = arrays.map((name) => {
      const operand = memory[name];
      if (operand === undefined) throw new RangeError(`Cannot scan: kernel "${kernel.name}" needs the array ${name}`);
      return operand.region;
    });
    const group = this.#machine.bind(kernel, [uniform, ...regions]);
    this.#passes.push({ kernel, group, count: Math.ceil(batch * chunks * units / perGroup) });
  }
}
