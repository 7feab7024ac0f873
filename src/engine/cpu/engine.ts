import type { DType, HostArray } from "../../core/types.ts";
import type {
  CopyRows,
  Engine,
  ErrorKind,
  GatherJob,
  MapJob,
  MatmulJob,
  Memory,
  OperatorScanJob,
  ReduceJob,
  ScanJob,
  ScatterAddJob,
  SweepJob,
  SweepRun,
  Verdict,
} from "../engine.ts";
import type { StepProgram } from "../../trace/program.ts";
import type { Transition } from "../../trace/transition.ts";
import { gather, scatterAdd } from "./gather.ts";
import { ArrayPool } from "./array_pool.ts";
import { arrayOf } from "./memory.ts";
import { reduce } from "./arrays.ts";
import { scanWithOperator } from "./operator_scan.ts";
import { mapRows } from "./rows.ts";
import { matmul } from "./products.ts";
import { scan } from "./scan.ts";
import { CpuRun } from "./sweeps.ts";
import { stepKernels, trustWords } from "./step_kernels.ts";

/** Bytes of working memory beyond which a solve goes on in windows. */
const WORKING_BYTES = 2 ** 30;

/** The CPU engine: typed arrays and generated JavaScript; work is done when it is asked for. */
export class CpuEngine implements Engine {
  readonly backend = "cpu";
  readonly speed = "cpu";
  readonly description: string;
  readonly #pool = new ArrayPool();

  constructor(readonly dtype: "f32" | "f64") {
    this.description = `CPU, one thread, generated JavaScript, ${dtype}`;
  }

  warm(program: StepProgram, transition: Transition): Promise<void> {
    stepKernels(program, transition, this.dtype);
    return Promise.resolve();
  }

  upload(data: HostArray, label = "a tensor"): Memory {
    const dtype = data instanceof Uint32Array ? "u32" : data instanceof Int32Array ? "i32" : this.dtype;
    const memory = this.#pool.take(dtype, data.length, label);
    memory.array.set(data);
    return memory;
  }

  allocate(dtype: DType, length: number, label = "a tensor"): Memory {
    return this.#pool.take(dtype, length, label);
  }

  read(memory: Memory): Promise<HostArray> {
    return Promise.resolve(arrayOf(memory).slice());
  }

  copy(from: Memory, to: Memory, { fromStart, fromStride, toStart, toStride, width, rows }: CopyRows): void {
    const [source, target] = [arrayOf(from), arrayOf(to)];
    for (let r = 0; r < rows; r++) {
      const first = fromStart + r * fromStride;
      target.set(source.subarray(first, first + width), toStart + r * toStride);
    }
  }

  free(memory: Memory): void {
    this.#pool.give(memory);
  }

  map(job: MapJob): void {
    mapRows(job, this.dtype);
  }

  scan(job: ScanJob): void {
    scan(job);
  }

  scanWith(job: OperatorScanJob): void {
    scanWithOperator(job, this.dtype);
  }

  matmul(job: MatmulJob): void {
    matmul(job);
  }

  reduce(job: ReduceJob): void {
    reduce(job);
  }

  gather(job: GatherJob): void {
    gather(job);
  }

  scatterAdd(job: ScatterAddJob): void {
    scatterAdd(job);
  }

  affordableWindow(
    { program, transition, batch, time }: Omit<SweepJob, "window" | "ys" | "rule" | "maxSweeps">,
  ): number {
    if (transition.kind === "sequential") return time;
    const { hoistedSize } = stepKernels(program, transition, this.dtype).stages;
    const words = hoistedSize + program.state + trustWords(program, transition);
    const bytesPerStep = batch * words * (this.dtype === "f32" ? 4 : 8);
    return Math.max(1, Math.min(time, Math.floor(WORKING_BYTES / bytesPerStep)));
  }

  beginRun(job: SweepJob): SweepRun {
    return new CpuRun(job, this.dtype);
  }

  enterWindow(run: SweepRun, start: number, length: number): "done" | "running" {
    return (run as CpuRun).enterWindow(start, length);
  }

  sweep(run: SweepRun): "done" | "running" {
    return (run as CpuRun).sweep();
  }

  settled(): Promise<boolean> {
    // A sweep has said so itself.
    return Promise.resolve(false);
  }

  leaveWindow(run: SweepRun): void {
    (run as CpuRun).leaveWindow();
  }

  verdict(run: SweepRun): Promise<Verdict> {
    return Promise.resolve((run as CpuRun).verdict());
  }

  measureError(run: SweepRun, kind: ErrorKind): void {
    (run as CpuRun).measureError(kind);
  }

  endRun(_run: SweepRun): void {
    // The garbage collector's work.
  }

  closeRun(run: SweepRun): () => Promise<Verdict> {
    const verdict = (run as CpuRun).verdict();
    return () => Promise.resolve(verdict);
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }
}
