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
import { recordCopy, recordReduce } from "./arrays.ts";
import type { Machine } from "./machine.ts";
import { bufferOf, type GpuMemory, WORD_BYTES } from "./memory.ts";
import { recordGather, recordScatterAdd } from "./gather.ts";
import { recordMap } from "./map.ts";
import { recordMatmul } from "./products.ts";
import { recordOperatorScan } from "./operator_scan.ts";
import { affordableRows } from "./window.ts";
import { recordScan } from "./scan_job.ts";
import { baseKernels, solveKernels } from "./warm.ts";
import { EmptyRun, type EngineRun } from "./empty_run.ts";
import { GpuRun } from "./sweeps.ts";

/** The WebGPU engine: every call records work and returns; only `read`, `verdict` and `dispose` wait. */
export class GpuEngine implements Engine {
  readonly backend = "webgpu";
  readonly dtype = "f32";
  readonly description: string;
  readonly speed: "software" | "hardware";
  readonly machine: Machine;

  constructor(machine: Machine) {
    this.machine = machine;
    this.description = machine.description;
    this.speed = machine.software ? "software" : "hardware";
  }

  /** An engine whose own kernels are compiled. */
  static async start(machine: Machine): Promise<GpuEngine> {
    try {
      await machine.warm(baseKernels());
    } catch (error) {
      await machine.dispose().catch(() => {/* the error before it says more */});
      throw error;
    }
    return new GpuEngine(machine);
  }

  async warm(program: StepProgram, transition: Transition, batch: number, time: number): Promise<void> {
    await this.machine.warm(solveKernels(program, transition, batch, time));
  }

  upload(data: HostArray, label = "a tensor"): Memory {
    const words = data instanceof Float64Array ? Float32Array.from(data) : data;
    const dtype = data instanceof Uint32Array ? "u32" : data instanceof Int32Array ? "i32" : "f32";
    const memory = this.allocate(dtype, data.length, label);
    this.machine.write(bufferOf(memory), words);
    return memory;
  }

  allocate(dtype: DType, length: number, label = "a tensor"): Memory {
    return { dtype, length, buffer: this.machine.pool.allocate(length * WORD_BYTES, label) } as GpuMemory;
  }

  async read(memory: Memory): Promise<HostArray> {
    const { dtype, length, buffer } = memory as GpuMemory;
    const data = await this.machine.read(buffer, 0, length * WORD_BYTES);
    return dtype === "u32" ? new Uint32Array(data) : dtype === "i32" ? new Int32Array(data) : new Float32Array(data);
  }

  copy(from: Memory, to: Memory, rows: CopyRows): void {
    recordCopy(this.machine, from, to, rows);
  }

  free(memory: Memory): void {
    this.machine.pool.release(bufferOf(memory));
  }

  map(job: MapJob): void {
    recordMap(this.machine, job);
  }

  scan(job: ScanJob): void {
    recordScan(this.machine, job);
  }

  scanWith(job: OperatorScanJob): void {
    recordOperatorScan(this.machine, job);
  }

  matmul(job: MatmulJob): void {
    recordMatmul(this.machine, job);
  }

  reduce(job: ReduceJob): void {
    recordReduce(this.machine, job);
  }

  gather(job: GatherJob): void {
    recordGather(this.machine, job);
  }

  scatterAdd(job: ScatterAddJob): void {
    recordScatterAdd(this.machine, job);
  }

  affordableWindow(job: Omit<SweepJob, "window" | "ys" | "rule" | "maxSweeps">): number {
    return affordableRows(this.machine, job);
  }

  beginRun(job: SweepJob): SweepRun {
    return job.batch * job.time === 0 ? new EmptyRun(job) : new GpuRun(job, this.machine);
  }

  enterWindow(run: SweepRun, start: number, length: number): "later" {
    return (run as EngineRun).enterWindow(start, length);
  }

  sweep(run: SweepRun): "done" | "later" {
    return (run as EngineRun).sweep();
  }

  settled(run: SweepRun): Promise<boolean> {
    return (run as EngineRun).settled();
  }

  leaveWindow(run: SweepRun): void {
    (run as EngineRun).leaveWindow();
  }

  verdict(run: SweepRun): Promise<Verdict> {
    return (run as EngineRun).verdict();
  }

  measureError(run: SweepRun, kind: ErrorKind): void {
    (run as EngineRun).measureError(kind);
  }

  endRun(run: SweepRun): void {
    (run as EngineRun).end();
  }

  closeRun(run: SweepRun): () => Promise<Verdict> {
    return (run as EngineRun).close();
  }

  dispose(): Promise<void> {
    return this.machine.dispose();
  }
}
