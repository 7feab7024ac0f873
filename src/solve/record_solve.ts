import { engineOf } from "../device.ts";
import type { Engine, Memory } from "../engine/engine.ts";
import { isTracked, record } from "../tape.ts";
import { memoryOf, type Tensor } from "../tensor.ts";
import { add, equal, where } from "../trace/ops.ts";
import { type RowProgram, traceRows } from "../trace/rows.ts";
import { pullBackSolve, type SolvedJob } from "./adjoint.ts";
import type { Attempt } from "./attempt.ts";

const ends = new Map<string, RowProgram>();

/** `ȳ[t]`, or zero, plus the cotangent of the last state in the last row. */
function endProgram(state: number, whole: boolean): RowProgram {
  const key = `${state}|${whole}`;
  let program = ends.get(key);
  if (program === undefined) {
    program = traceRows({
      name: "cotangent of a trajectory",
      inputs: { end: [state], last: [], ...(whole ? { bar: [state] } : {}) },
      access: { end: { per: "sequence" }, last: { per: "sequence" } },
      params: {},
      fn: (row, _, t) => {
        const [own, rest] = whole ? [add(row.bar, row.end), row.bar] : [row.end, 0];
        return { bar: where(equal(t, row.last), own, rest) };
      },
    });
    ends.set(key, program);
  }
  return program;
}

/** The cotangent of the trajectory, from that of its rows and that of the last state: `ys` itself where there is no other. */
function joinCotangents(
  engine: Engine,
  { batch, time, program: { state } }: SolvedJob,
  ys: Memory | null,
  yT: Memory | null,
): Memory {
  if (yT === null) return ys!;
  const out = engine.allocate(engine.dtype, batch * time * state, "the cotangent of a trajectory");
  const last = engine.upload(new Float32Array(batch).fill(time - 1), "the last row");
  const program = endProgram(state, ys !== null);
  const sources: Record<string, Memory | null> = { end: yT, last, bar: ys };
  const inputs = program.inputs.map(({ path }) => ({ memory: sources[path]!, start: null }));
  engine.map({ program, params: [], inputs, outputs: [out], batch, time });
  engine.free(last);
  return out;
}

/** Makes the trajectory and the last state of a solve differentiable, where gradients of its problem are recorded. */
export function recordSolve({ job: { program, batch, time }, problem, ys }: Attempt, yT: Tensor): void {
  const { device, sources: { params, xs, h0, given } } = problem;
  const inputs = [...params, ...(xs === null ? [] : [xs]), given];
  if (!inputs.some(isTracked)) return;
  const engine = engineOf(device);
  const { state } = program;
  const solved: SolvedJob = {
    device,
    program,
    params: params.map(memoryOf),
    xs: xs && memoryOf(xs),
    h0: memoryOf(h0),
    ys: memoryOf(ys),
    batch,
    time,
  };
  // One state for all sequences gets the sum of their cotangents.
  const gather = (rows: Memory): Memory => {
    if (h0 === given) return rows;
    const out = engine.allocate(engine.dtype, state, "the cotangent of h0");
    engine.reduce({ op: "sum", input: rows, out, outer: 1, length: batch, inner: state });
    engine.free(rows);
    return out;
  };
  record({
    name: "solve",
    inputs,
    outputs: [ys, yT],
    holds: [...inputs, h0, ys],
    pullback([ysBar, yTBar], wanted) {
      const wantsStart = wanted.at(-1)!;
      if (batch * time === 0) {
        if (!wantsStart || yTBar === null || batch === 0) return inputs.map(() => null);
        const rows = engine.allocate(engine.dtype, batch * state, "the cotangent of h0");
        const whole = { fromStart: 0, fromStride: 0, toStart: 0, toStride: 0, width: batch * state, rows: 1 };
        engine.copy(yTBar!, rows, whole);
        return [...inputs.slice(1).map(() => null), gather(rows)];
      }
      const bar = joinCotangents(engine, solved, ysBar!, yTBar!);
      const parts = pullBackSolve(solved, bar, {
        params: wanted.slice(0, params.length),
        xs: xs !== null && wanted[params.length]!,
        h0: wantsStart,
      });
      if (bar !== ysBar) engine.free(bar);
      const start = parts.h0 && gather(parts.h0);
      return [...parts.params, ...(xs === null ? [] : [parts.xs]), start];
    },
  });
}
