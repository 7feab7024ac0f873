import { checkCount, formatShape, sameShape } from "../core/shape.ts";
import type { HostTensor } from "../core/types.ts";
import { kindOf } from "../core/describe.ts";
import { checkHostTensor, isRecord } from "../core/host.ts";

/** Which of the recurrent layers in a PyTorch state dict to read. */
export interface TorchOptions {
  /** The layer of a module with `num_layers` above 1, counted from 0. Default 0. */
  layer?: number;
  /** The backward direction of a bidirectional module. Default false. */
  reverse?: boolean;
  /**
   * The path of the module in its model, as in `"encoder.rnn"`. Default: no path where the plain names exist, else the
   * only path under which they exist.
   */
  prefix?: string;
}

/** The arrays that hold parameters. */
export type Floats = Float32Array | Float64Array;

/** One layer and direction of a PyTorch module, as copies. */
export interface Weights {
  /** H. */
  readonly hidden: number;
  readonly weight_ih: HostTensor;
  readonly weight_hh: HostTensor;
  readonly bias_ih: Floats;
  readonly bias_hh: Floats;
}

/**
 * Finds, checks and copies the weights of one layer of a PyTorch module with `gates` gates; zeros for biases where it
 * has none. Throws a TypeError for whatever is missing or does not fit.
 */
export function readWeights(
  kind: "GRU" | "LSTM" | "RNN",
  gates: number,
  stateDict: Record<string, HostTensor>,
  options: TorchOptions,
): Weights {
  const context = `Cannot convert the PyTorch ${kind}`;
  if (!isRecord(stateDict)) {
    throw new TypeError(`${context}: the state dict must be a record, got ${kindOf(stateDict)}`);
  }
  if (!isRecord(options as unknown)) {
    throw new TypeError(`${context}: options must be a record, got ${kindOf(options)}`);
  }
  const { layer = 0, reverse = false } = options;
  checkCount(context, "layer", layer, 0);
  if (typeof reverse !== "boolean") {
    throw new TypeError(`${context}: reverse must be a boolean, got ${kindOf(reverse)}`);
  }
  const suffix = `_l${layer}${reverse ? "_reverse" : ""}`;
  const prefix = findPrefix(context, stateDict, suffix, options.prefix);
  const nameOf = (part: string): string => prefix + part + suffix;
  const has = (part: string): boolean => Object.hasOwn(stateDict, nameOf(part));

  if (has("weight_hr")) {
    const cure = "its h is shorter than its c, which is not supported; train it with proj_size=0";
    throw new TypeError(`${context}: ${nameOf("weight_hr")} makes it an LSTM with projections: ${cure}`);
  }
  const hasBias = has("bias_ih") || has("bias_hh");
  const missing = ["weight_ih", "weight_hh", ...(hasBias ? ["bias_ih", "bias_hh"] : [])].filter((part) => !has(part));
  if (missing.length > 0) {
    throw new TypeError(`${context}: expected ${missing.map(nameOf).join(", ")}, got ${listNames(stateDict)}`);
  }

  const hidden = stateDict[nameOf("weight_hh")]?.shape?.[1] ?? 0;
  const inputs = stateDict[nameOf("weight_ih")]?.shape?.[1] ?? 0;
  const rows = gates * hidden;
  const weight_hh = take(context, nameOf("weight_hh"), stateDict, [rows, hidden], `(${gates === 1 ? "" : gates}H, H)`);
  const weight_ih = take(context, nameOf("weight_ih"), stateDict, [rows, inputs], `(${rows}, I)`);
  const [bias_ih, bias_hh] = ["bias_ih", "bias_hh"].map((part) =>
    hasBias ? take(context, nameOf(part), stateDict, [rows], `(${rows},)`).data : weight_hh.data.slice(0, rows).fill(0)
  ) as [Floats, Floats];
  const arrays = { weight_ih: weight_ih.data, weight_hh: weight_hh.data, bias_ih, bias_hh };
  if (new Set(Object.values(arrays).map(kindOf)).size > 1) {
    const got = Object.entries(arrays).map(([part, data]) => `${part} ${kindOf(data)}`).join(", ");
    throw new TypeError(`${context}: expected one dtype, got ${got}`);
  }
  return { hidden, weight_ih, weight_hh, bias_ih, bias_hh };
}

/** What stands before the names of the module: nothing, or its path and a dot. */
function findPrefix(context: string, stateDict: object, suffix: string, asked: string | undefined): string {
  if (asked !== undefined) {
    if (typeof asked !== "string") throw new TypeError(`${context}: prefix must be a string, got ${kindOf(asked)}`);
    return asked === "" || asked.endsWith(".") ? asked : `${asked}.`;
  }
  const names = [`weight_ih${suffix}`, `weight_hh${suffix}`];
  const found = new Set<string>();
  for (const key of Object.keys(stateDict)) {
    const name = names.find((name) => key === name || key.endsWith(`.${name}`));
    if (name !== undefined) found.add(key.slice(0, -name.length));
  }
  // The plain names win: what else fits, such as "grad.weight_ih_l0", belongs to something else.
  if (found.size === 0 || found.has("")) return "";
  if (found.size > 1) {
    const paths = [...found].map((prefix) => `"${prefix.slice(0, -1)}"`).sort();
    throw new TypeError(`${context}: expected one module, got ${paths.join(", ")}; choose one with the option prefix`);
  }
  return [...found][0]!;
}

/** A copy of a tensor of f32 or f64 that has the shape `expected`, which `formula` explains. */
function take(
  context: string,
  name: string,
  stateDict: Record<string, HostTensor>,
  expected: readonly number[],
  formula: string,
): HostTensor & { readonly data: Floats } {
  const tensor = stateDict[name]!;
  const type = checkHostTensor(context, name, tensor);
  const { data, shape } = tensor;
  if (type !== "F32" && type !== "F64") {
    throw new TypeError(`${context}: ${name} must hold f32 or f64, got ${kindOf(data)}`);
  }
  if (!sameShape(shape, expected) || expected.includes(0)) {
    throw new TypeError(`${context}: ${name} must have shape ${formula}, got ${formatShape(shape)}`);
  }
  return { data: data.slice() as Floats, shape: [...shape] };
}

function listNames(stateDict: object): string {
  const names = Object.keys(stateDict);
  const rest = names.length > 12 ? ` and ${names.length - 12} more` : "";
  return names.length === 0 ? "an empty state dict" : names.slice(0, 12).join(", ") + rest;
}
