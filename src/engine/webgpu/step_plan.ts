import type { Store } from "../../../kernels/evaluate.ts";
import { emitFold, type FoldSink, foldTurns } from "../../../kernels/fold.ts";
import { denseTileWords } from "../../../kernels/dense_tile.ts";
import type { RowShape } from "../../../kernels/traced.ts";
import type { Node } from "../../trace/graph.ts";
import { memory, type Place, read } from "../../trace/places.ts";
import type { StepProgram } from "../../trace/program.ts";
import { hoist, type Slot, type Stages } from "../../trace/stages.ts";
import { absoluteAction, type Transition, transitionAction } from "../../trace/transition.ts";
import { nodesOfEntries, type TransitionEntries, transitionEntries } from "../../trace/transition_entries.ts";
import { type DensePlan, planChannels, planDense } from "./dense_plan.ts";
import type { Fold } from "./fold_dispatch.ts";
import { evaluate, type Evaluation, findProjection, type Projection, WORKGROUP_WORDS } from "./evaluation.ts";
import type { TrustSpec } from "../../../kernels/trust.ts";
import { entryText, planTrust, trustEntries, trustKey, type TrustPlan } from "./trust_plan.ts";
import { ParameterPack, planTile, type PrintRequest, printTile, widestOf } from "./traced.ts";

/** Fewer states than a sector of memory holds words are not read together. */
const LEAST_CHANNELS = 8;

/** How a sweep runs. */
export type SweepForm =
  | { readonly kind: "fold"; readonly fold: Fold }
  /** G evaluated where it is used, in a scan of products. */
  | { readonly kind: "dense"; readonly dense: DensePlan }
  /** f and the entries of small blocks to memory, then a scan of it. */
  | {
    readonly kind: "sparse";
    readonly evaluation: Evaluation;
    readonly matrix: "zero" | "identity" | "full";
    readonly size: number;
    readonly layout: "contiguous" | "strided";
  }
  /** f and the entries of blocks to memory, then a Kalman filter over it. */
  | { readonly kind: "trust"; readonly evaluation: Evaluation; readonly trust: TrustPlan };

/** All that the engine knows of a step with one transition. */
export interface StepPlan {
  readonly stages: Stages;
  readonly pack: ParameterPack;
  /** Values from parameters alone. */
  readonly shared: Evaluation | null;
  readonly hoisting: Evaluation | null;
  readonly projection: Projection | null;
  /** f at one state for all rows. */
  readonly value: Evaluation;
  readonly form: SweepForm;
}

/** What a plan is for: a sweep, or an error scan. */
export type PlanSink = "update" | "first-order" | "absolute";

const cache = new WeakMap<StepProgram, Map<string, StepPlan>>();

/** The plan of a step, made at first use and kept as long as the step. */
export function stepPlan(program: StepProgram, transition: Transition, sink: PlanSink = "update"): StepPlan {
  let known = cache.get(program);
  if (known === undefined) cache.set(program, known = new Map());
  const key = JSON.stringify([{ ...transition, trust: trustKey(transition) }, String(transition.clip), sink]);
  let plan = known.get(key);
  if (plan === undefined) known.set(key, plan = makePlan(program, transition, sink));
  return plan;
}

/** G of an error scan: exactly ∂f/∂h, as sparse as it is proven to be. */
export function errorTransition({ structure }: StepProgram): Transition {
  const exact = { scale: 0, clip: Infinity };
  return structure.kind === "block"
    ? { kind: "block", ...exact, block: structure.block, layout: structure.layout }
    : { kind: structure.kind, ...exact };
}

/** What a plan has whatever its form, and the request that its form is printed by. */
interface Outline extends Omit<StepPlan, "form"> {
  readonly request: Omit<PrintRequest, "given">;
  readonly shape: RowShape;
}

function makePlan(program: StepProgram, transition: Transition, sink: PlanSink): StepPlan {
  const { output, name, state } = program;
  const sequential = transition.kind === "sequential";
  if (transition.trust !== undefined) {
    const { entries, spec } = trustEntries(program, transition);
    const { request, shape, ...plan } = outline(program, [output, ...nodesOfEntries(entries)]);
    const whole = { ...request, given: 1 } as const;
    const evaluation = trustEvaluation(whole, `${name} ${transition.kind} elk`, shape, entries, spec);
    return { ...plan, form: { kind: "trust", evaluation, trust: planTrust(spec, state) } };
  }
  const entries = transitionEntries(program, transition, sink === "absolute");
  const label = `${name} ${sequential ? "sequential" : `${transition.kind} ${sink}`}`;
  const dense = entries.kind === "terms" || entries.kind === "columns" ? entries : null;
  if (!sequential && (dense === null || denseTileWords(state) < WORKGROUP_WORDS)) {
    const { request, shape, ...plan } = outline(program, [output, ...nodesOfEntries(entries)]);
    const whole = { ...request, given: 1 } as const;
    if (entries.kind === "blocks" && entries.size === 1 && state >= LEAST_CHANNELS) {
      const channels = planChannels(whole, entries.planes, { name: label, shape, sink });
      if (channels !== null) return { ...plan, form: { kind: "dense", dense: channels } };
    }
    if (dense === null) return { ...plan, form: sparseForm(whole, label, shape, entries, sink) };
    const form = planDense(whole, dense, { name: label, shape, transition, sink, words: WORKGROUP_WORDS });
    if (form !== null) return { ...plan, form: { kind: "dense", dense: form } };
  }
  // Products of matrices that no workgroup can hold are not worth forming.
  const action = sequential
    ? null
    : sink === "absolute"
    ? absoluteAction(program)
    : transitionAction(program, transition);
  const { request, shape, ...plan } = outline(program, [output, ...(action === null ? [] : [action])]);
  const form = foldForm({ ...request, given: 2 }, label, shape, sequential ? "sequential" : sink, action);
  return { ...plan, form };
}

function outline(program: StepProgram, outputs: readonly Node[]): Outline {
  const { output, name } = program;
  const stages = hoist(outputs, program);
  const pack = new ParameterPack(program, stages.sharedSize);
  const shape: RowShape = { state: program.state, input: program.input, hoisted: stages.hoistedSize };
  const none: Stages = { ...stages, shared: [], hoisted: [] };
  const request = { program, pack } as const;
  const slots = (list: readonly Slot[]): Node[] => list.map(({ node }) => node);
  const store = (list: readonly Slot[], width: number) => (places: ReadonlyMap<Node, Place>): Store[] =>
    list.map(({ node, offset }) => ({
      count: node.size,
      width,
      offset: "0u",
      index: `${offset}u + i`,
      text: read(places.get(node)!, "i"),
    }));
  const shared = stages.shared.length === 0 ? null : evaluate(
    { ...request, stages: none, outputs: slots(stages.shared), given: 0 },
    { name: `${name} shared`, shape, previous: "none", skip: false, stores: store(stages.shared, 0), single: true },
  );
  const projection = findProjection(program, slots(stages.hoisted));
  const made = projection === null ? undefined : { node: projection.node, place: memory("Y", "q") };
  const hoisting = stages.hoisted.length === 0 ? null : evaluate(
    { ...request, stages: { ...none, shared: stages.shared }, outputs: slots(stages.hoisted), given: 0, made },
    {
      name: `${name} hoist`,
      shape: projection === null ? shape : { ...shape, projected: projection.columns },
      previous: "none",
      skip: false,
      stores: store(stages.hoisted, shape.hoisted),
    },
  );
  const value = evaluate({ ...request, stages, outputs: [output], given: 1 }, {
    name: `${name} value`,
    shape,
    previous: "start",
    skip: false,
    stores: store([{ node: output, offset: 0 }], shape.state),
  });
  return { stages, pack, shared, hoisting, projection, value, request: { ...request, stages, outputs }, shape };
}

function sparseForm(
  request: PrintRequest,
  name: string,
  shape: RowShape,
  entries: TransitionEntries,
  sink: PlanSink,
): Extract<SweepForm, { kind: "sparse" }> {
  const { program: { output, state } } = request;
  const size = entries.kind === "blocks" ? entries.size : 1;
  const units = state / size;
  const stores = (places: ReadonlyMap<Node, Place>): Store[] => {
    const f: Store = { count: state, width: state, offset: "0u", index: "i", text: read(places.get(output)!, "i") };
    if (entries.kind !== "blocks") return [f];
    const text = read(places.get(entries.planes)!, "i");
    // From planes of entries to a block for each unit.
    const index = size === 1 ? "i" : `(i % ${units}u) * ${size * size}u + i / ${units}u`;
    return [f, { count: state * size, width: state * size, offset: "P.second", index, text }];
  };
  const evaluation = evaluate(request, { name, shape, previous: "iterate", skip: sink === "update", stores });
  const layout = entries.kind === "blocks" ? entries.layout : "contiguous";
  const matrix = entries.kind === "blocks" ? "full" : entries.kind === "identity" ? "identity" : "zero";
  return { kind: "sparse", evaluation, matrix, size, layout };
}

function trustEvaluation(
  request: PrintRequest,
  name: string,
  shape: RowShape,
  entries: ReturnType<typeof trustEntries>["entries"],
  spec: TrustSpec,
): Evaluation {
  if (entries.kind === "blocks") return sparseForm(request, name, shape, entries, "update").evaluation;
  const { program: { output, state } } = request;
  const width = state * spec.size;
  const stores = (places: ReadonlyMap<Node, Place>): Store[] => [
    { count: state, width: state, offset: "0u", index: "i", text: read(places.get(output)!, "i") },
    { count: width, width, offset: "P.second", index: "i", text: entryText(entries, spec, state, places) },
  ];
  return evaluate(request, { name, shape, previous: "iterate", skip: true, stores });
}

function foldForm(
  request: PrintRequest,
  name: string,
  shape: RowShape,
  sink: FoldSink,
  action: Node | null,
): SweepForm {
  const { program: { output } } = request;
  const width = widestOf(request);
  const trial = printTile(request, { rows: 1, lanes: 32, scratch: "workgroup" }, []);
  const tile = planTile(trial.code.scratch, width, 1, WORKGROUP_WORDS);
  const { code, places } = printTile(request, tile, []);
  const text = (node: Node): string => read(places.get(node)!, "i");
  const spec = {
    name,
    sink,
    shape,
    code,
    value: text(output),
    action: action === null ? "0.0" : text(action),
    lanes: tile.lanes,
    scratch: tile.scratch,
  };
  const kernel = emitFold(spec);
  const fold = { kernel, turns: foldTurns(spec), scratchWords: code.scratch, inStorage: tile.scratch === "storage" };
  return { kind: "fold", fold };
}
