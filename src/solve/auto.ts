import type { Engine } from "../engine/engine.ts";
import { type Node, topological } from "../trace/graph.ts";
import type { StepProgram } from "../trace/program.ts";
import { COSTS, EXPECTED_SWEEPS, sequentialCost, SWEEP_LIMITS, sweepsCost, type Workload } from "./costs.ts";
import { expectedSweeps } from "./expected_sweeps.ts";
import type { Foresight } from "./foresight.ts";
import type { MethodName } from "./methods.ts";

/** A choice, and why. */
export interface Choice {
  readonly name: Exclude<MethodName, "auto">;
  readonly reason: string;
}

/** Operations of what `output` needs. */
export function operationsOf(outputs: readonly Node[]): number {
  let total = 0;
  for (const { op, args, size } of topological(outputs)) {
    if (op === "matvec" || op === "matvecTransposed") total += 2 * args[0]!.size;
    else if (op === "logDet") total += (2 / 3) * args[0]!.size * args[0]!.shape[0]!;
    else if (op === "matmul" || op === "linearSolve") total += 2 * size * args[0]!.shape[1]!;
    else if (op !== "leaf" && op !== "constant" && op !== "slice" && op !== "reshape" && op !== "broadcast") {
      total += size;
    }
  }
  return total;
}

const milliseconds = (us: number): string =>
  us < 1e4 ? `${(us / 1000).toPrecision(2)} ms` : `${Math.round(us / 1000)} ms`;

/** What a choice may know beside sizes and structure. */
export interface Circumstances {
  /** Of the dynamics; without it sweeps are those of steps that forget. */
  readonly foresight?: Foresight | undefined;
  /** What the caller allows. */
  readonly maxSweeps?: number | undefined;
}

/** A method that may be chosen. */
interface Option {
  readonly name: Choice["name"];
  /** In microseconds; infinite where it would not converge. */
  readonly cost: number;
  readonly what: string;
  /** What is expected of it, as a part of a reason. */
  readonly verdict: string;
}

/**
 * The method with the lowest expected cost on an engine, from the structure of the Jacobian, D, B and T, and from how many
 * sweeps the dynamics let expect: where small differences grow that is a share of T, and one pass is all there is.
 */
export function chooseMethod(
  program: StepProgram,
  engine: Engine,
  batch: number,
  time: number,
  { foresight, maxSweeps }: Circumstances = {},
): Choice {
  const { output, structure, state, affine } = program;
  const costs = COSTS[engine.speed];
  const step = operationsOf([output]);
  const work = (sweep: number): Workload => ({ batch, time, step, sweep });
  if (engine.speed === "cpu") {
    const reason = "the CPU engine runs on one thread, where one pass is less work than any number of sweeps";
    return { name: "sequential", reason };
  }
  const blocks = structure.kind === "block" ? structure.block : 1;
  const dense = structure.kind === "dense" || blocks > 4;
  const dynamics = affine ? undefined : foresight;
  const newton = affine ? 1 : sweepsOfNewton(dynamics, time);
  const products = dense ? 2 * state * state * (state + 1) + 2 * state * state : 4 * state * blocks * (blocks + 1);
  const option = (name: Choice["name"], what: string, cost: number): Option => ({
    ...{ name, what, cost },
    verdict: `${what} in about ${milliseconds(cost)}`,
  });
  const parallel = (name: Choice["name"], sweep: number, sweeps: number, limit: number, how: string): Option => {
    const allowed = maxSweeps ?? limit;
    const what = `${sweeps.toLocaleString("en-US")} sweep${sweeps === 1 ? "" : "s"} ${how}`;
    const failed = dynamics?.failedAfter ?? 0;
    const refuse = (why: string): Option => ({ name, what, cost: Infinity, verdict: why });
    if (failed > 0) return refuse(`sweeps were tried, and ${failed} were not enough`);
    // T sweeps always are.
    if (Math.min(sweeps, time) > allowed) return refuse(`${what} would be more than the ${allowed} allowed`);
    return option(name, what, sweepsCost(costs, work(sweep), sweeps));
  };
  const options = [
    option("sequential", "one pass", sequentialCost(costs, work(step))),
    parallel("deer", 4 * step + products, newton, SWEEP_LIMITS.newton, "of Newton's method"),
  ];
  if (dense) {
    const linear = affine
      ? EXPECTED_SWEEPS.linear
      : Math.ceil(newton * EXPECTED_SWEEPS.linear / EXPECTED_SWEEPS.newton);
    options.push(parallel("quasi-deer", 2 * step + 8 * state, linear, SWEEP_LIMITS.linear, "with the diagonal"));
  }
  options.sort((a, b) => a.cost - b.cost);
  const [best, second] = options as [Option, Option];
  const kind = dense ? "dense" : structure.kind;
  const reason = `D = ${state}, B = ${batch}, T = ${time}, ${kind} Jacobian on ${engine.speed} WebGPU: ` +
    `${best.verdict}; otherwise ${second.verdict}${describeGrowth(dynamics)}`;
  return { name: best.name, reason };
}

function sweepsOfNewton(foresight: Foresight | undefined, time: number): number {
  return foresight === undefined || Number.isNaN(foresight.exponent)
    ? EXPECTED_SWEEPS.newton
    : expectedSweeps(foresight.exponent, time);
}

/** What is known of small differences, as the end of a reason. */
function describeGrowth(foresight: Foresight | undefined): string {
  if (foresight === undefined || Number.isNaN(foresight.exponent)) return "";
  const { exponent, steps } = foresight;
  const change = exponent < 0 ? "shrink" : "grow";
  return `; small differences ${change}, by exp(${Number(exponent.toPrecision(3))}) a step over the first ${steps}`;
}
