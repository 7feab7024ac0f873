import type { MapJob } from "../engine.ts";
import type { MapArray, MapPlan } from "./map_plan.ts";
import type { MapVariant } from "./map_variant.ts";
import { WORD_BYTES } from "./memory.ts";

/** Rows that are worked on together: all of some sequences, or some of one. */
export interface MapPart {
  readonly firstBatch: number;
  readonly batch: number;
  readonly firstRow: number;
  readonly time: number;
}

/** Rows of an array, counted over all sequences. */
export interface RowRange {
  readonly first: number;
  readonly end: number;
}

/** Bytes of working memory beyond which a map goes on in parts. */
const WORKING_BYTES = 2 ** 30;

/** The rows of arrays of one kind that a part of sequences of `time` rows reads: at least one. */
export function rowsRead(members: readonly MapArray[], part: MapPart, time: number): RowRange {
  const { kind } = members[0]!;
  if (kind === "parameter") return { first: 0, end: 1 };
  if (kind === "sequence") return { first: part.firstBatch, end: part.firstBatch + part.batch };
  const shifts = members.map(({ shift }) => shift);
  const lowest = part.firstBatch * time;
  const highest = (part.firstBatch + part.batch) * time;
  const start = lowest + part.firstRow;
  const end = start + part.batch * part.time;
  return {
    first: Math.max(lowest, Math.min(highest - 1, start - Math.max(...shifts))),
    end: Math.min(highest, Math.max(lowest + 1, end - Math.min(...shifts))),
  };
}

/** Parts whose arrays can be bound, and are affordable together. */
export function* partsOf(
  { arrays }: Pick<MapPlan, "arrays">,
  { steps }: MapVariant,
  { batch, time }: Pick<MapJob, "batch" | "time">,
  mostWords: number,
): Generator<MapPart> {
  const [all, sequences] = [batch * time, batch];
  let [rows, most, own] = [all, sequences, 0];
  const bind = (kind: MapArray["kind"], width: number, spread = 0): void => {
    if (kind === "step") rows = Math.min(rows, Math.floor(mostWords / width) - spread);
    if (kind === "sequence") most = Math.min(most, Math.floor(mostWords / width));
  };
  for (const { kind, size, source } of arrays) {
    if (size > 0) bind(kind, size);
    if (source.from === "made" && kind === "step") own += size;
  }
  for (const slot of steps.flatMap((step) => "kind" in step ? [] : step.flatMap(({ slots }) => slots))) {
    const shifts = slot.members.map(({ array }) => arrays[array]!.shift);
    bind(slot.kind, Math.max(1, slot.width), Math.max(...shifts) - Math.min(...shifts));
    if (slot.packed && slot.kind === "step") own += slot.width;
  }
  if (own > 0) rows = Math.min(rows, Math.floor(WORKING_BYTES / (WORD_BYTES * own)));
  const together = Math.min(most, Math.floor(rows / time), batch);
  for (let b = 0; b < batch; b += Math.max(1, together)) {
    if (together >= 1) {
      yield { firstBatch: b, batch: Math.min(together, batch - b), firstRow: 0, time };
      continue;
    }
    const length = Math.max(1, rows);
    for (let t = 0; t < time; t += length) {
      yield { firstBatch: b, batch: 1, firstRow: t, time: Math.min(length, time - t) };
    }
  }
}
