import { MAX_TURNS } from "../../../kernels/kernel.ts";
import { OPERATOR_LANES, operatorArrays, packOperatorParams } from "../../../kernels/operator_scan.ts";
import { DeviceError } from "../../core/errors.ts";
import type { OperatorScanJob } from "../engine.ts";
import { recordCopy } from "./arrays.ts";
import type { Machine } from "./machine.ts";
import { bufferOf, floatsIn, type Operand, operandOf, regionAt, WORD_BYTES, wordsPerBinding } from "./memory.ts";
import { type OperatorPlan, operatorPlan } from "./operator_code.ts";
import { type ScanPart, splitScan } from "./scan_job.ts";

/** Invocations that keep a large GPU busy. */
const WANTED_LANES = 65536;
/** A chunk costs an aggregate and a place in the scan over them: fewer rows do not pay for it. */
const LEAST_ROWS = 32;
/** Fewer chunks do not pay for reading everything twice. */
const LEAST_CHUNKS = 4;
/** Leaves whose arrays, and those of the answer, fit the bindings of a kernel beside constants and aggregates. */
const MOST_LEAVES = 3;

/** How the rows of a sequence are cut. */
export interface OperatorChunks {
  readonly chunks: number;
  readonly chunkRows: number;
}

/** Rows of a chunk: enough chunks to be busy, none too short to pay, and no loop too long. */
export function planOperatorChunks(
  batch: number,
  rows: number,
  { row, fixed }: { readonly row: number; readonly fixed: number },
): OperatorChunks {
  const most = Math.floor((MAX_TURNS - fixed) / row);
  if (most < 2) {
    throw new DeviceError(
      `Cannot scan: to combine two elements takes ${row} turns of loops, and an invocation should not make more than ` +
        `${MAX_TURNS}; use smaller elements, or the CPU engine`,
    );
  }
  const wide = Math.max(LEAST_ROWS, Math.ceil(rows / Math.ceil(WANTED_LANES / batch)));
  const chunkRows = Math.min(most, rows < LEAST_CHUNKS * wide ? rows : wide);
  return { chunks: Math.ceil(rows / chunkRows), chunkRows };
}

/** Elements in memory that are scanned, and where their prefixes go. */
interface Elements {
  readonly source: "arrays" | "packed";
  /** Of each leaf, or one packed array, which is overwritten. */
  readonly inputs: readonly Operand[];
  readonly outputs: readonly Operand[];
  readonly batch: number;
  readonly rows: number;
  readonly reverse: boolean;
  /** Writes the prefix before the first row to a word of a buffer; null: there is none. */
  readonly carry: ((buffer: GPUBuffer, word: number) => void) | null;
}

/** The scan in three phases; that over the aggregates of chunks is one of packed elements. */
function recordElements(machine: Machine, plan: OperatorPlan, constants: GPUBuffer | null, elements: Elements): void {
  const { source, inputs, outputs, batch, rows, reverse, carry } = elements;
  const { chunks, chunkRows } = planOperatorChunks(batch, rows, plan.turns(source));
  const carryBase = chunks > 1 ? batch * chunks * plan.words : 0;
  const words = carryBase + plan.words;
  const buffer = machine.pool.allocate(words * WORD_BYTES, "aggregates of a scan");
  try {
    carry?.(buffer, carryBase);
    const aggregates = operandOf(machine, { buffer }, words, "the aggregates of a scan");
    const named: Record<string, Operand> = { AGG: aggregates };
    if (constants !== null) named.C = operandOf(machine, { buffer: constants }, plan.pack.words, "constants");
    inputs.forEach((input, k) => named[source === "packed" ? "V" : `I${k}`] = input);
    outputs.forEach((output, k) => named[`O${k}`] = output);
    const dispatch = (phase: "reduce" | "apply"): void => {
      const { spec, kernel } = plan.kernel(phase, source);
      const params = packOperatorParams(spec, {
        ...{ batch, rows, chunks, chunkRows, carryBase },
        reverse: Number(reverse),
        carried: Number(carry !== null),
        inBases: inputs.map(({ base }) => base),
        outBases: outputs.map(({ base }) => base),
      });
      const regions = operatorArrays(spec).map(({ name }) => named[name]!.region);
      const group = machine.bind(kernel, [machine.uniform(params), ...regions]);
      machine.dispatch(kernel, group, Math.ceil(batch * chunks / OPERATOR_LANES));
    };
    if (chunks > 1) {
      dispatch("reduce");
      const packed = { source: "packed", inputs: [aggregates], outputs: [], reverse: false, carry: null } as const;
      recordElements(machine, plan, constants, { ...packed, batch, rows: chunks });
    }
    dispatch("apply");
  } finally {
    machine.pool.release(buffer);
  }
}

/** Parameters and constants in one buffer; null if there are none. */
function fillConstants(
  machine: Machine,
  { pack }: OperatorPlan,
  { program, params }: OperatorScanJob,
): GPUBuffer | null {
  if (pack.words === 0) return null;
  const buffer = machine.pool.allocate(pack.words * WORD_BYTES, "parameters and constants");
  machine.write(buffer, pack.packConstants(), pack.sharedOffset * WORD_BYTES);
  for (const [k, { leaf }] of program.params.entries()) {
    machine.copy(bufferOf(params[k]!), 0, buffer, pack.offsets[k]! * WORD_BYTES, leaf.size * WORD_BYTES);
  }
  return buffer;
}

/** One part of a job: its leaves as they are where they fit the bindings, else as whole elements, copied there and back. */
function recordPart(
  machine: Machine,
  plan: OperatorPlan,
  constants: GPUBuffer | null,
  job: OperatorScanJob,
  part: ScanPart,
): void {
  const { inputs, outputs, time, reverse } = job;
  const { leaves, words } = plan;
  const row = part.firstBatch * time + (reverse ? time - part.firstRow - part.time : part.firstRow);
  const rows = part.batch * part.time;
  // The prefix before this part is the row that was written last.
  const before = reverse ? row + part.time : row - 1;
  const carry = part.firstRow === 0 ? null : (buffer: GPUBuffer, word: number): void => {
    for (const [k, { size, first }] of leaves.entries()) {
      const from = before * size * WORD_BYTES;
      machine.copy(bufferOf(outputs[k]!), from, buffer, (word + first) * WORD_BYTES, size * WORD_BYTES);
    }
  };
  const shape = { batch: part.batch, rows: part.time, reverse, carry };
  if (leaves.length <= MOST_LEAVES) {
    const bind = (memory: OperatorScanJob["inputs"][number], k: number): Operand => {
      const { size } = leaves[k]!;
      return operandOf(machine, regionAt(bufferOf(memory), row * size), rows * size, "an array of a scan");
    };
    const arrays = { source: "arrays", inputs: inputs.map(bind), outputs: outputs.map(bind) } as const;
    return recordElements(machine, plan, constants, { ...arrays, ...shape });
  }
  const buffer = machine.pool.allocate(rows * words * WORD_BYTES, "elements of a scan");
  try {
    const packed = floatsIn(buffer, rows * words);
    const place = (k: number) => ({ start: leaves[k]!.first, stride: words });
    const own = (k: number) => ({ start: row * leaves[k]!.size, stride: leaves[k]!.size });
    for (const [k, { size: width }] of leaves.entries()) {
      const [from, to] = [own(k), place(k)];
      const strides = { fromStart: from.start, fromStride: from.stride, toStart: to.start, toStride: to.stride };
      recordCopy(machine, inputs[k]!, packed, { ...strides, width, rows });
    }
    const elements = [operandOf(machine, { buffer }, rows * words, "the elements of a scan")];
    recordElements(machine, plan, constants, { source: "packed", inputs: elements, outputs: [], ...shape });
    for (const [k, { size: width }] of leaves.entries()) {
      const [from, to] = [place(k), own(k)];
      const strides = { fromStart: from.start, fromStride: from.stride, toStart: to.start, toStride: to.stride };
      recordCopy(machine, packed, outputs[k]!, { ...strides, width, rows });
    }
  } finally {
    machine.pool.release(buffer);
  }
}

/** The scan with an operator; what exceeds a binding in parts, the prefix handed from one to the next. */
export function recordOperatorScan(machine: Machine, job: OperatorScanJob): void {
  const { program, batch, time } = job;
  if (batch * time === 0) return;
  const plan = operatorPlan(program);
  const widest = Math.max(...plan.leaves.map(({ size }) => size));
  const perRow = plan.leaves.length <= MOST_LEAVES ? widest : plan.words;
  const constants = fillConstants(machine, plan, job);
  try {
    for (const part of splitScan(batch, time, perRow, wordsPerBinding(machine))) {
      recordPart(machine, plan, constants, job, part);
    }
  } finally {
    if (constants !== null) machine.pool.release(constants);
  }
}
