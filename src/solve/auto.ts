import type { Engine } from "../engine/engine.ts";
import { type Node, topological } from "../trace/graph.ts";
import type { StepProgram } from "../trace/program.ts";
import { COSTS, EXPECTED_SWEEPS, sequentialCost, sweepsCost, type Workload } from "./costs.ts";
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

/** The method with the lowest expected cost on an engine, from the structure of the Jacobian, D, B and T. */
export function chooseMethod(program: StepProgram, engine: Engine, batch: number, time: number): Choice {
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
  const newton = affine ? 1 : EXPECTED_SWEEPS.newton;
  const products = dense ? 2 * state * state * (state + 1) + 2 * state * state : 4 * state * blocks * (blocks + 1);
  const options: { readonly name: Choice["name"]; readonly cost: number; readonly what: string }[] = [
    { name: "sequential", cost: sequentialCost(costs, work(step)), what: "one pass" },
    {
      name: "deer",
      cost: sweepsCost(costs, work(4 * step + products), newton),
      what: `${newton} sweep${newton === 1 ? "" : "s"} of Newton's method`,
    },
  ];
  if (dense) {
    const cost = sweepsCost(costs, work(2 * step + 8 * state), EXPECTED_SWEEPS.linear);
    options.push({ name: "quasi-deer", cost, what: `${EXPECTED_SWEEPS.linear} sweeps with the diagonal` });
  }
  options.sort((a, b) => a.cost - b.cost);
  const [best, second] = options as [typeof options[0], typeof options[0]];
  const kind = dense ? "dense" : structure.kind;
  const reason = `D = ${state}, B = ${batch}, T = ${time}, ${kind} Jacobian on ${engine.speed} WebGPU: ` +
    `${best.what} is expected to take ${milliseconds(best.cost)}, ${second.what} ${milliseconds(second.cost)}`;
  return { name: best.name, reason };
}
