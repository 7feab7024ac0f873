// Loops: llvmpipe stops silently after 65 535 turns of an invocation, over all its loops. What plans promise is compared
// with what kernels do, counted by a statement in every loop, and what they promise at large sizes with the bound.

import { assert, assertEquals } from "@std/assert";
import { evaluateTurns } from "../../kernels/evaluate.ts";
import { MAX_TURNS } from "../../kernels/kernel.ts";
import { MOST_PARTS, SUM_LANES } from "../../kernels/trust_rule.ts";
import { FIXED_TURNS, MOST_TRUST, trustTurns } from "../../kernels/trust_scan.ts";
import { defineStep, elman, gru, lem, lstm, type MethodName, openDevice, solve, type Step } from "../../mod.ts";
import { engineOf } from "../../src/device.ts";
import { planChunks } from "../../src/engine/webgpu/dense_plan.ts";
import { planScan } from "../../src/engine/webgpu/scan_plan.ts";
import { type StepPlan, stepPlan } from "../../src/engine/webgpu/step_plan.ts";
import { trustChunkRows, trustClimb } from "../../src/engine/webgpu/trust_plan.ts";
import { transitionOf } from "../../src/solve/methods.ts";
import { programOf } from "../../src/step.ts";
import * as ops from "../../src/trace/ops.ts";
import { ROW_CASES } from "../engine/map_cases.ts";
import { mapJob, runPlain } from "../engine/map_support.ts";
import { testOnGpu } from "../engine/webgpu/adapter.ts";
import { host, numbers } from "../solve/arrays.ts";
import { openCounting } from "./counting.ts";
import { mapKernels } from "./map_kernels.ts";

const leaky = (state: number): Step =>
  defineStep({
    name: `leaky ${state}`,
    state,
    input: state,
    params: { rate: [state] },
    step: ({ h, x, p }) => ops.add(h, ops.mul(ops.sigmoid(p.rate), ops.sub(ops.tanh(ops.add(x, h)), h))),
  });

const STEPS: readonly (readonly [string, Step])[] = [
  ...[1, 4, 5, 16, 30, 64].map((hidden) => [`gru ${hidden}`, gru({ input: 2, hidden })] as const),
  ...[2, 7].map((hidden) => [`lstm ${hidden}`, lstm({ input: 2, hidden })] as const),
  ...[2, 6].map((hidden) => [`lem ${hidden}`, lem({ input: 2, hidden })] as const),
  ...[1, 40].map((hidden) => [`elman ${hidden}`, elman({ input: 2, hidden })] as const),
  ...[1, 9].map((state) => [`leaky ${state}`, leaky(state)] as const),
];
const METHODS = [
  ...["sequential", "deer", "quasi-deer", "block-deer", "jacobi", "elk", "quasi-elk"] as const,
] satisfies readonly MethodName[];

/** A block of ELK must fit into a workgroup. */
const methodsOf = ({ state }: Step): typeof METHODS =>
  METHODS.filter((method) => method !== "elk" || state <= MOST_TRUST);

const planOf = (step: Step, method: (typeof METHODS)[number]): StepPlan =>
  stepPlan(programOf(step), transitionOf(programOf(step), { name: method }));

/** The most turns of any invocation of each kernel, as planned; kernels of scans under one name. */
function planned(step: Step, plan: StepPlan, batch: number, rows: number): Map<string, number> {
  const turns = new Map<string, number>();
  const { form } = plan;
  const evaluations = [plan.shared, plan.hoisting, plan.value, "evaluation" in form ? form.evaluation : null];
  for (const one of evaluations) if (one !== null) turns.set(one.kernel.name, evaluateTurns(one.spec) + 1);
  if (form.kind === "fold") {
    const { row, fixed } = form.fold.turns;
    turns.set(form.fold.kernel.name, fixed + Math.min(rows, Math.floor((MAX_TURNS - fixed) / row)) * row);
  } else if (form.kind === "dense") {
    const { dense } = form;
    const most = planChunks(dense, batch, rows, step.state) * dense.turns.row + dense.turns.fixed;
    for (const { kernel } of [dense.reduce, dense.single, dense.apply]) turns.set(kernel.name, most);
    turns.set("scan-", MAX_TURNS);
  } else if (form.kind === "trust") {
    const { reduce, spine, single, apply, adaptive, spec } = form.trust;
    const each = trustTurns(spec);
    const wide = trustChunkRows(form.trust, batch, rows, step.state);
    for (const { name } of [reduce, single, apply]) turns.set(name, wide * each.row + FIXED_TURNS);
    turns.set(spine.name, Math.min(Math.ceil(rows / wide), trustClimb(form.trust)) * each.chunk + FIXED_TURNS);
    // A part has at least this many elements for each of its lanes, and a tree of 8.
    turns.set(
      adaptive!.sums.name,
      Math.max(17, Math.ceil(Math.ceil(rows / MOST_PARTS) * step.state / SUM_LANES) + 1) + 9,
    );
    turns.set(adaptive!.weigh.name, MOST_PARTS + 1);
  } else {
    const { matrix, size } = form;
    turns.set("scan-", planScan({ batch, time: rows, units: step.state / size, size, matrix }).turns);
  }
  turns.set("verdict ", Math.ceil(batch / 256) + 4);
  return turns;
}

testOnGpu("turns: no kernel makes more than its plan says", async () => {
  const seen = new Set<string>();
  for (const [name, step] of STEPS) {
    const { device: gpuDevice, read } = await openCounting();
    const device = await openDevice({ gpuDevice });
    const [batch, time] = [2, step.state > 20 ? 24 : 130];
    const xs = host(numbers(batch * time * step.input, 1, 3), [batch, time, step.input]);
    const params = step.init(device, { seed: 5 });
    const bounds = new Map<string, number>();
    for (const method of methodsOf(step)) {
      using _ = await solve(step, { params, xs }, { method, onFailure: "return", maxSweeps: 3 });
      const plan = planned(step, planOf(step, method), batch, time);
      for (const [kernel, turns] of plan) bounds.set(kernel, Math.max(turns, bounds.get(kernel) ?? 0));
    }
    const counts = await read();
    await device.dispose();
    gpuDevice.destroy();
    for (const [kernel, turns] of counts) {
      const bound = bounds.get(kernel) ?? [...bounds].find(([prefix]) => kernel.startsWith(prefix))?.[1] ?? 0;
      assert(turns <= bound, `${name}: ${kernel} makes ${turns} turns, planned are ${bound}`);
      if (turns > 0) seen.add(kernel.replace(name.split(" ")[0]!, "").replace(/\d+/g, "").trim());
    }
  }
  const forms = ["reduce", "spine", "apply"].map((phase) => `trust ${phase}  contiguous adaptive`);
  const dense = ["dense update reduce", "dense update apply", "dense update"];
  for (const kernel of ["sequential", ...dense, "hoist", "value", ...forms, "trust sums", "trust weigh"]) {
    assert(seen.has(kernel), `${kernel} was not counted: ${[...seen]}`);
  }
});

testOnGpu("turns: no kernel of a map makes more than its plan says", async () => {
  const forms = new Set<string>();
  for (const given of ROW_CASES) {
    const { device: gpuDevice, read } = await openCounting();
    const device = await openDevice({ gpuDevice });
    const engine = engineOf(device);
    const [batch, time] = [2, 33];
    engine.map(mapJob(engine, given, runPlain(given, batch, time), batch, time));
    await engine.read(engine.upload(new Float32Array(1)));
    const counts = await read();
    await device.dispose();
    gpuDevice.destroy();
    const bounds = new Map<string, number>();
    for (const { kernel: { name }, turns, spec: { form } } of mapKernels(given, true)) {
      bounds.set(name, Math.max(turns + 1, bounds.get(name) ?? 0));
      forms.add("elements" in form ? "elements" : form.tile === null ? "rows" : form.tile.scratch);
    }
    let counted = 0;
    for (const [kernel, turns] of counts) {
      const bound = bounds.get(kernel);
      if (bound === undefined) continue;
      counted++;
      assert(turns <= bound, `${given.name}: ${kernel} makes ${turns} turns, planned are ${bound}`);
    }
    assert(counted > 0, given.name);
  }
  assertEquals([...forms].sort(), ["elements", "rows", "storage", "workgroup"]);
});

Deno.test("turns: no plan exceeds the bound, up to T = 10^7 and B = 10^5", () => {
  for (const [name, step] of STEPS) {
    for (const method of methodsOf(step)) {
      for (
        const [batch, rows] of [[1, 1], [1, 1000], [3, 10 ** 5], [1, 10 ** 7], [10 ** 5, 100], [4096, 4096]] as const
      ) {
        for (const [kernel, turns] of planned(step, planOf(step, method), batch, rows)) {
          assert(turns <= MAX_TURNS, `${name} by ${method}, B = ${batch}, T = ${rows}: ${kernel} plans ${turns} turns`);
        }
      }
    }
  }
});
