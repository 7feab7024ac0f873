import { sizeOf } from "../core/shape.ts";
import { type Device, engineOf } from "../device.ts";
import type { Engine, Memory } from "../engine/engine.ts";
import { pullBackSolve } from "../solve/adjoint.ts";
import { packedRows } from "../trace/packed_rows.ts";
import type { ModelLayout } from "./model.ts";
import { filterStep, rowParts } from "./programs.ts";

/** What a filter was given, on the device. */
export interface FilterInputs {
  readonly device: Device;
  readonly layout: ModelLayout;
  /** The parts of the model, by name. */
  readonly fixed: Readonly<Record<string, Memory>>;
  /** `(B, T, width)` */
  readonly rows: Memory;
  readonly batch: number;
  readonly time: number;
}

/** Of the log-likelihood `(B)`, the means `(B, T, D)` and the covariances `(B, T, D, D)`; null where there is none. */
interface Outputs<M> {
  readonly logLik: M;
  readonly means: M;
  readonly covariances: M;
}

/** `(B, state)`: the initial state, then a log-likelihood of nothing, which is never read; `own` takes it over at once. */
export function startRows(
  engine: Engine,
  { layout: { states: n }, fixed, batch }: Pick<FilterInputs, "layout" | "fixed" | "batch">,
  own: (memory: Memory) => Memory,
): Memory {
  const state = n + n * n + 1;
  const h0 = own(engine.allocate(engine.dtype, batch * state, "the initial state"));
  for (const [name, width, toStart] of [["initialMean", n, 0], ["initialCovariance", n * n, n]] as const) {
    engine.copy(fixed[name]!, h0, { fromStart: 0, fromStride: 0, toStart, toStride: state, width, rows: batch });
  }
  return h0;
}

/**
 * Cotangents of what a filter was given, by the names of the model and `ys`, from those of its answer: the adjoint of Kalman's
 * recursion along the filtered states, whichever way they were found. Null where not wanted, or zero; what it returns is the
 * caller's. Enqueued: nothing waits.
 *
 * Cost: a reversed recurrence of D² + D + 1 states, about 3 times the recursion; 6 (D² + D + 1) words a step.
 */
export function pullBackFilter(
  given: FilterInputs,
  filtered: Pick<Outputs<Memory>, "means" | "covariances">,
  cotangents: Outputs<Memory | null>,
  wanted: (name: string) => boolean,
): (name: string) => Memory | null {
  const { device, layout, fixed, rows, batch, time } = given;
  const { states: n, measured, width } = layout;
  if (batch * time === 0) return () => null;
  const engine = engineOf(device);
  const program = filterStep(layout);
  const { state } = program;
  const owned = new Set<Memory>();
  const own = (memory: Memory): Memory => {
    owned.add(memory);
    return memory;
  };
  const allocate = (length: number): Memory =>
    own(engine.allocate(engine.dtype, length, "a cotangent of a Kalman filter"));
  const pack = (parts: Outputs<Memory | null>): Memory => {
    const out = allocate(batch * time * state);
    const inputs = [parts.means, parts.covariances, parts.logLik];
    const [means, covariances, logLik] = inputs.map((memory) => ({ absent: memory === null }));
    const program = packedRows([
      { size: n, ...means },
      { size: n * n, ...covariances },
      { size: 1, per: "sequence", ...logLik },
    ]);
    const present = inputs.flatMap((memory) => memory === null ? [] : [{ memory, start: null }]);
    engine.map({ program, params: [], inputs: present, outputs: [out], batch, time });
    return out;
  };
  /** Columns of `(count, stride)`. */
  const columns = (from: Memory, count: number, stride: number, fromStart: number, width: number): Memory => {
    const out = allocate(count * width);
    engine.copy(from, out, { fromStart, fromStride: stride, toStart: 0, toStride: width, width, rows: count });
    return out;
  };
  /** Of what all sequences share. */
  const sumSequences = (from: Memory, inner: number): Memory => {
    if (batch === 1) return from;
    const out = allocate(inner);
    engine.reduce({ op: "sum", input: from, out, outer: 1, length: batch, inner });
    return out;
  };
  try {
    const varying = rowParts(layout);
    const ys = pack({ ...filtered, logLik: null });
    const h0 = startRows(engine, given, own);
    const job = {
      device,
      program,
      params: program.params.map(({ path }) => fixed[path]!),
      xs: rows,
      h0,
      ys,
      batch,
      time,
    };
    // The initial state is no parameter of the recursion, but where it starts.
    const isStart = (name: string): boolean => name === "initialMean" || name === "initialCovariance";
    const bars = pullBackSolve(job, pack(cotangents), {
      params: program.params.map(({ path }) => !isStart(path) && wanted(path)),
      xs: wanted("ys") || varying.some(({ name }) => wanted(name)),
      h0: wanted("initialMean") || wanted("initialCovariance"),
    });
    for (const memory of [...bars.params, bars.xs, bars.h0]) if (memory !== null) own(memory);
    const found = new Map<string, Memory>();
    for (const [k, { path }] of program.params.entries()) {
      const bar = bars.params[k] ?? null;
      if (bar !== null) found.set(path, bar);
    }
    const take = (name: string, make: () => Memory): void => {
      if (wanted(name)) found.set(name, make());
    };
    if (bars.h0 !== null) {
      const from = bars.h0;
      take("initialMean", () => sumSequences(columns(from, batch, state, 0, n), n));
      take("initialCovariance", () => sumSequences(columns(from, batch, state, n, n * n), n * n));
    }
    if (bars.xs !== null) {
      const from = bars.xs;
      take("ys", () => columns(from, batch * time, width, 0, measured));
      for (const { name, shape, offset } of varying) {
        const size = sizeOf(shape);
        take(name, () => sumSequences(columns(from, batch * time, width, offset, size), time * size));
      }
    }
    for (const memory of found.values()) owned.delete(memory);
    return (name) => found.get(name) ?? null;
  } finally {
    for (const memory of owned) engine.free(memory);
  }
}
