import { DeviceError } from "../../core/errors.ts";
import type { ScanJob } from "../engine.ts";
import type { Machine, Region } from "./machine.ts";
import { bufferOf, regionAt, WORD_BYTES, wordsPerBinding } from "./memory.ts";
import { AffineScan, type AffineScanSpec } from "./scan.ts";

/** Sequences and rows of a scan that fit the bindings of a device. */
export interface ScanPart {
  readonly firstBatch: number;
  readonly batch: number;
  /** In the order of the scan: of a reverse scan the last rows come first. */
  readonly firstRow: number;
  readonly time: number;
}

/**
 * Sequences side by side while they fit, else one at a time, else rows of one at a time; `beside`: rows that the parts of a
 * sequence need of others.
 */
export function splitScan(
  batch: number,
  time: number,
  wordsPerRow: number,
  mostWords: number,
  beside = 0,
): ScanPart[] {
  const fitting = Math.floor(mostWords / wordsPerRow);
  const most = fitting >= time ? fitting : fitting - beside;
  if (most <= 0) {
    throw new DeviceError(
      `Cannot scan: ${beside === 0 ? "one step takes" : "two steps take"} ${(1 + beside) * wordsPerRow * WORD_BYTES} ` +
        `bytes, and a binding of this device about ${
          mostWords * WORD_BYTES
        }; use blocks or diagonals instead of dense ` +
        "matrices",
    );
  }
  const parts: ScanPart[] = [];
  const atOnce = Math.max(1, Math.floor(most / Math.max(1, time)));
  for (let firstBatch = 0; firstBatch < batch; firstBatch += atOnce) {
    for (let firstRow = 0; firstRow < time; firstRow += most) {
      parts.push({
        firstBatch,
        batch: Math.min(atOnce, batch - firstBatch),
        firstRow,
        time: Math.min(most, time - firstRow),
      });
    }
  }
  return parts;
}

/** The form of a job's elements: its blocks are side by side, a dense matrix is one block. */
function elementsOf({ monoid, state, block = 1 }: ScanJob): Pick<AffineScanSpec, "matrix" | "size" | "units"> {
  if (monoid === "scalar") return { matrix: "scalar", size: 1, units: state };
  const size = monoid === "dense" ? state : monoid === "block" ? block : 1;
  return { matrix: "full", size, units: state / size };
}

/** A scan as its job says; what exceeds a binding in parts, the state handed from one to the next. */
export function recordScan(machine: Machine, job: ScanJob): void {
  const { a, b, h0, out, batch, time, state, reverse, adjoint = false } = job;
  if (batch * time * state === 0) return;
  const elements = elementsOf(job);
  const matrixWords = elements.matrix === "scalar" ? 1 : state * elements.size;
  const parts = splitScan(batch, time, Math.max(state, matrixWords), wordsPerBinding(machine), adjoint ? 1 : 0);
  const carry = parts.some(({ firstRow }) => firstRow > 0)
    ? machine.pool.allocate(state * WORD_BYTES, "the state between parts of a scan")
    : undefined;
  for (const part of parts) {
    const first = reverse ? time - part.firstRow - part.time : part.firstRow;
    const row = part.firstBatch * time + first;
    let start: Region | undefined = h0 === null ? undefined : regionAt(bufferOf(h0), part.firstBatch * state);
    if (part.firstRow > 0) {
      const before = reverse ? row + part.time : row - 1;
      machine.copy(bufferOf(out), before * state * WORD_BYTES, carry!, 0, state * WORD_BYTES);
      start = { buffer: carry! };
    }
    const scan = new AffineScan(machine, {
      ...elements,
      sink: "recurrence",
      layout: "contiguous",
      reverse,
      adjoint,
      continues: adjoint && part.firstRow > 0,
      batch: part.batch,
      time: part.time,
    }, {
      matrix: regionAt(bufferOf(a), row * matrixWords),
      vector: regionAt(bufferOf(b), row * state),
      out: regionAt(bufferOf(out), row * state),
      ...(start === undefined ? {} : { start }),
    });
    scan.record();
    scan.dispose();
  }
  if (carry !== undefined) machine.pool.release(carry);
}
