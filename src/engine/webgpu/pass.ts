import type { SweepJob } from "../engine.ts";
import type { DensePlan } from "./dense_plan.ts";
import { DenseScan } from "./dense_scan.ts";
import type { Machine, Region } from "./machine.ts";
import { bufferOf, floatsIn, WORD_BYTES } from "./memory.ts";
import { AffineScan } from "./scan.ts";
import type { Evaluation } from "./evaluation.ts";
import { evaluationDispatches, STORAGE_GROUPS } from "./evaluation_dispatch.ts";
import { type Fold, foldDispatches } from "./fold_dispatch.ts";
import { recordMatmul } from "./products.ts";
import type { PlanSink, StepPlan, SweepForm } from "./step_plan.ts";
import { TrustScan } from "./trust_scan.ts";
import type { Recorded, WindowBuffers } from "./window.ts";

/** What a pass takes of a job. */
export type PassJob = Pick<SweepJob, "params" | "batch" | "window" | "rule" | "program" | "transition">;

type Allocate = (words: number, label: string) => Region;

/** A plan with memory: hoisting, evaluation at one state, and one sweep (or error scan), over the window it has entered. */
export class Pass {
  /** The dispatches of one sweep. */
  sweep: readonly Recorded[] = [];
  readonly #machine: Machine;
  readonly #plan: StepPlan;
  readonly #job: PassJob;
  readonly #buffers: WindowBuffers;
  readonly #sink: PlanSink;
  readonly #pack: Region;
  readonly #hoisted: Region;
  readonly #projected: Region | null;
  readonly #scratch: ReadonlyMap<Evaluation, Region>;
  /** sparse: f, and behind it the entries; fold: what goes on from dispatch to dispatch. */
  readonly #values: Region | null;
  readonly #second: number;
  /** `(B, D)`: the error at the end of the window before. */
  readonly #carry: Region | null;
  #scan: AffineScan | undefined;
  #dense: DenseScan | undefined;
  #trust: TrustScan | undefined;
  /** Rows of the window that scan and maps were made for. */
  #scanned = 0;
  #start = 0;
  #length = 0;

  constructor(
    machine: Machine,
    plan: StepPlan,
    job: PassJob,
    buffers: WindowBuffers,
    sink: PlanSink,
    allocate: Allocate,
  ) {
    this.#machine = machine;
    this.#plan = plan;
    this.#job = job;
    this.#buffers = buffers;
    this.#sink = sink;
    const { batch, window, program: { state } } = job;
    const rows = batch * window;
    const { pack, stages, form } = plan;
    this.#pack = allocate(Math.max(1, pack.words), "parameters and constants");
    this.#hoisted = stages.hoistedSize === 0 ? this.#pack : allocate(rows * stages.hoistedSize, "hoisted values");
    this.#projected = plan.projection && allocate(rows * plan.projection.columns, "products with the inputs");
    const evaluations = [plan.shared, plan.hoisting, plan.value, evaluationOf(form)];
    const scratch = new Map<Evaluation, Region>();
    for (const evaluation of evaluations) {
      if (evaluation?.spec.tile?.scratch !== "storage") continue;
      scratch.set(evaluation, allocate(STORAGE_GROUPS * evaluation.spec.code.scratch, "scratch"));
    }
    this.#scratch = scratch;
    // Bindings begin at multiples of 256 bytes.
    this.#second = 64 * Math.ceil(rows * state / 64);
    if (form.kind === "sparse" || form.kind === "trust") {
      const entries = form.kind === "trust"
        ? rows * state * form.trust.spec.size
        : form.matrix === "full"
        ? rows * state * form.size
        : 0;
      this.#values = allocate(this.#second + entries, "values of f and entries of G");
    } else if (form.kind === "dense") this.#values = null;
    else {
      const words = form.fold.inStorage ? form.fold.scratchWords : 2 * state;
      this.#values = allocate(batch * words, "what a fold carries");
    }
    this.#carry = sink === "update" ? null : allocate(batch * state, "the error of the window before");
    if (this.#carry !== null) machine.clear(this.#carry.buffer, 0, batch * state * WORD_BYTES);
    this.#fillPack(allocate);
  }

  /** Prepares evaluations for the rows `start` to `start + length`, no sweeps. */
  enterValues(start: number, length: number): void {
    [this.#start, this.#length] = [start, length];
  }

  /** Prepares everything for the rows `start` to `start + length`. */
  enter(start: number, length: number): void {
    // A scan does not know where its window is: those of equal length share it.
    if (length !== this.#scanned) this.dispose();
    this.#scanned = length;
    this.enterValues(start, length);
    const { form } = this.#plan;
    this.sweep = form.kind === "fold"
      ? this.#foldDispatches(form.fold)
      : form.kind === "dense"
      ? this.#denseDispatches(form.dense)
      : form.kind === "trust"
      ? this.#trustDispatches(form)
      : this.#sparseDispatches(form);
  }

  /** Hoisted values of the window. */
  hoist(): void {
    const { hoisting, projection } = this.#plan;
    if (hoisting === null) return;
    const { batch, params, program: { input } } = this.#job;
    if (projection !== null) {
      const { columns, parameter } = projection;
      const rows = batch * this.#length;
      const a = floatsIn(this.#buffers.xs!.buffer, rows * input);
      const out = floatsIn(this.#projected!.buffer, rows * columns);
      const b = params[parameter]!;
      recordMatmul(this.#machine, { a, b, out, rows, inner: input, columns, form: "abt" });
    }
    this.#run(this.#evaluation(hoisting, this.#hoisted, this.#buffers.start));
  }

  /** f at the start state for all rows. */
  value(into: Region): void {
    this.#run(this.#evaluation(this.#plan.value, into, this.#buffers.start));
  }

  /** Frees what belongs to windows of one length. */
  dispose(): void {
    this.#scan?.dispose();
    this.#dense?.dispose();
    this.#trust?.dispose();
    this.#scan = this.#dense = this.#trust = undefined;
  }

  #run(dispatches: readonly Recorded[]): void {
    for (const { kernel, group, count } of dispatches) this.#machine.dispatch(kernel, group, count);
  }

  /** Parameters side by side, constants after them, and what follows from parameters alone between the two. */
  #fillPack(allocate: Allocate): void {
    const machine = this.#machine;
    const { pack, shared, stages } = this.#plan;
    const { params, program } = this.#job;
    const { buffer } = this.#pack;
    const first = pack.sharedOffset + stages.sharedSize;
    machine.write(buffer, pack.packConstants(), first * WORD_BYTES);
    for (const [i, { leaf }] of program.params.entries()) {
      machine.copy(bufferOf(params[i]!), 0, buffer, pack.offsets[i]! * WORD_BYTES, leaf.size * WORD_BYTES);
    }
    if (shared === null) return;
    const values = allocate(stages.sharedSize, "values from parameters");
    [this.#start, this.#length] = [0, 1];
    this.#run(this.#evaluation(shared, values, this.#buffers.start, 1));
    machine.copy(values.buffer, 0, buffer, pack.sharedOffset * WORD_BYTES, stages.sharedSize * WORD_BYTES);
  }

  /** The dispatches of an evaluation over the window. */
  #evaluation(evaluation: Evaluation, out: Region, start: Region, batch = this.#job.batch): Recorded[] {
    const rows = { batch, rows: this.#length, t0: this.#start, second: this.#second };
    const iterate = evaluation.spec.previous === "iterate"
      ? this.#buffers.ys
      : evaluation === this.#plan.hoisting
      ? this.#projected ?? start
      : start;
    const scratch = this.#scratch.get(evaluation);
    const { xs, status } = this.#buffers;
    const regions = [this.#pack, this.#hoistedFor(out), xs ?? this.#pack, start, iterate, status, out];
    return evaluationDispatches(
      this.#machine,
      evaluation,
      rows,
      scratch === undefined ? regions : [...regions, scratch],
    );
  }

  /** A buffer that is written must not be read by the same dispatch: hoisting itself reads none. */
  #hoistedFor(out: Region): Region {
    return out.buffer === this.#hoisted.buffer ? this.#pack : this.#hoisted;
  }

  #sparseDispatches(form: Extract<SweepForm, { kind: "sparse" }>): Recorded[] {
    const { batch, rule, program: { state } } = this.#job;
    const { ys, guess, status, start } = this.#buffers;
    const values = this.#values!;
    const time = this.#length;
    const entries: Region = { buffer: values.buffer, offset: this.#second * WORD_BYTES };
    const scan = this.#scan ??= new AffineScan(this.#machine, {
      sink: this.#sink,
      matrix: form.matrix,
      size: form.size,
      layout: form.layout,
      reverse: false,
      batch,
      time,
      units: state / form.size,
      atol: rule.atol,
      rtol: rule.rtol,
    }, {
      ...(form.matrix === "full" ? { matrix: entries } : {}),
      vector: values,
      out: ys,
      state: status,
      ...(this.#sink === "update" ? { guess: guess! } : { carry: this.#carry! }),
    });
    return [...this.#evaluation(form.evaluation, values, start), ...scan.dispatches];
  }

  #trustDispatches({ evaluation, trust }: Extract<SweepForm, { kind: "trust" }>): Recorded[] {
    const { ys, guess, status, start } = this.#buffers;
    const scan = this.#trust ??= new TrustScan(this.#machine, trust, this.#job, this.#length);
    scan.enter();
    const values = this.#values!;
    const arrays = { values, second: this.#second, ys, guess: guess!, status };
    return [...this.#evaluation(evaluation, values, start), ...scan.dispatches(arrays)];
  }

  #denseDispatches(dense: DensePlan): Recorded[] {
    const { batch, rule: { atol, rtol }, program: { state } } = this.#job;
    const rows = this.#length;
    const scan = this.#dense ??= new DenseScan(this.#machine, dense, { batch, rows, state }, this.#carry);
    const { start, xs, ys, status, guess } = this.#buffers;
    const traced = [this.#pack, this.#hoisted, xs ?? this.#pack];
    const arrays = { START: start, Y: ys, S: status, GUESS: guess, CARRY: this.#carry };
    return scan.dispatches({ t0: this.#start, atol, rtol }, traced, arrays);
  }

  #foldDispatches(fold: Fold): Recorded[] {
    const { xs, start, ys, status, guess } = this.#buffers;
    const pack = this.#pack;
    const regions = [pack, this.#hoisted, xs ?? pack, start, ys, status, guess ?? pack, this.#values!];
    return foldDispatches(this.#machine, fold, this.#job, { rows: this.#length, t0: this.#start }, regions);
  }
}

/** The evaluation of a form that has one of its own. */
function evaluationOf(form: SweepForm): Evaluation | null {
  return form.kind === "sparse" || form.kind === "trust" ? form.evaluation : null;
}
