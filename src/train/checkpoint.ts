import { checkKeys, describe } from "../core/describe.ts";
import { isRecord } from "../core/host.ts";
import type { RandomState } from "../core/random.ts";
import { checkCount } from "../core/shape.ts";
import { flattenTree, mapTree } from "../core/tree.ts";
import type { Tree } from "../core/types.ts";
import type { Device } from "../device.ts";
import { parseJson } from "../io/json.ts";
import { readSafetensors, writeSafetensors } from "../io/safetensors.ts";
import { isTensor, type Tensor, tensor, toHost } from "../tensor.ts";
import type { TensorTree } from "../tensor_tree.ts";
import type { OptimizerState } from "./optimizer.ts";
import type { SequenceId, WarmStarts } from "./warm_starts.ts";

/** All that training goes on from. */
export interface Checkpoint<P extends TensorTree<P> = Tree<Tensor>> {
  /** Steps so far. */
  readonly step: number;
  /** The parameters. */
  readonly params: P;
  /** What the optimizer remembers. */
  readonly state: OptimizerState;
  /** Where the stream of random numbers is. */
  readonly random: RandomState;
}

/** Settings of {@linkcode saveCheckpoint} and {@linkcode loadCheckpoint}. */
export interface CheckpointOptions {
  /** Trajectories are saved, or put there, too. */
  warmStarts?: WarmStarts;
}

const SAVE = "Cannot save the checkpoint";
const LOAD = "Cannot load the checkpoint";
const FORMAT = "cervid checkpoint 1";
const PARTS = ["params", "state"] as const;

type Leaf = Tensor | number;
const isLeaf = (value: unknown): value is Leaf => isTensor(value) || typeof value === "number";

/**
 * A state of training as the bytes of a safetensors file: tensors `params.*` and `state.*` by their paths, and under
 * `__metadata__` the step, the state of the random numbers, and the trees with their counts. Any reader of safetensors finds
 * the parameters. Steps of `train` can be given as they are.
 *
 * With `warmStarts` the trajectories too, as `trajectory.0`, ...: without them training goes on as well, but with other
 * guesses, and so with other roundings. Waits for the device. Throws a `TypeError` where two paths are one name.
 *
 * @example
 * ```ts
 * import { adam, loadCheckpoint, openDevice, saveCheckpoint, tensor } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const params = { w: tensor(device, { data: new Float32Array([1, 2]), shape: [2] }) };
 * const bytes = await saveCheckpoint({ step: 10, params, state: adam(1e-3).init(params), random: [1, 2, 3, 4] });
 * const { step, state } = loadCheckpoint(device, bytes);
 * console.log(step, state.count); // 10 0
 * ```
 */
export async function saveCheckpoint<P extends TensorTree<P> = Tree<Tensor>>(
  checkpoint: Checkpoint<P>,
  options: CheckpointOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  checkKeys(SAVE, "options", options, ["warmStarts"]);
  if (!isRecord(checkpoint)) {
    throw new TypeError(`${SAVE}: expected { step, params, state, random }, got ${describe(checkpoint)}`);
  }
  const { step, random } = checkpoint;
  checkCount(SAVE, "step", step, 0);
  checkRandom(SAVE, random);
  const found = new Map<string, Tensor>();
  const add = (name: string, value: Tensor): void => {
    if (found.has(name)) throw new TypeError(`${SAVE}: two tensors would have the name "${name}"; rename one of them`);
    found.set(name, value);
  };
  const trees: Record<string, string> = {};
  for (const part of PARTS) {
    const tree = checkpoint[part] as Tree<Leaf>;
    for (const [path, leaf] of flattenTree<Leaf>(tree, isLeaf)) if (isTensor(leaf)) add(`${part}.${path}`, leaf);
    // Counts as text, which has NaN and infinities.
    trees[part] = JSON.stringify(mapTree<Leaf, true | string>(tree, isLeaf, (leaf) => isTensor(leaf) || String(leaf)));
  }
  const entries = options.warmStarts?.entries() ?? [];
  for (const [k, { states }] of entries.entries()) add(`trajectory.${k}`, states);
  // All reads overlap.
  const values = await Promise.all([...found].map(async ([name, value]) => [name, await toHost(value)] as const));
  return writeSafetensors(Object.fromEntries(values), {
    format: FORMAT,
    step: String(step),
    random: JSON.stringify(random),
    ...trees,
    trajectories: JSON.stringify(entries.map(({ path, id }) => [path, id])),
  });
}

/**
 * The state of training that {@linkcode saveCheckpoint} has written, on a device: what `resume` of `train` takes. Its tensors
 * are the caller's; `train` copies them. With `warmStarts` the trajectories that were saved are put there.
 *
 * Throws a `SyntaxError` for bytes that are no such file. A file from a device of another dtype is converted.
 *
 * @example Training that goes on from a file
 * ```ts
 * import { adam, loadCheckpoint, openDevice, saveCheckpoint, squaredError, tensor, train } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * const params = { w: tensor(device, { data: new Float32Array([1, 2]), shape: [2] }) };
 * const target = tensor(device, { data: new Float32Array([3, 3]), shape: [2] });
 * const settings = {
 *   params,
 *   optimizer: adam(0.1),
 *   batches: () => target,
 *   loss: ({ w }: typeof params, batch: typeof target) => squaredError(w, batch),
 * };
 * let bytes = new Uint8Array();
 * for await (const step of train({ ...settings, steps: 5 })) bytes = await saveCheckpoint(step);
 * // Later, perhaps elsewhere:
 * const resume = loadCheckpoint(device, bytes);
 * for await (const { step, loss } of train({ ...settings, steps: 10, resume })) console.log(step, loss); // from 6 on
 * ```
 */
export function loadCheckpoint<P extends TensorTree<P> = Tree<Tensor>>(
  device: Device,
  bytes: Uint8Array,
  options: CheckpointOptions = {},
): Checkpoint<P> {
  checkKeys(LOAD, "options", options, ["warmStarts"]);
  const { tensors, metadata } = readSafetensors(bytes);
  if (metadata.format !== FORMAT) {
    throw new SyntaxError(`${LOAD}: expected the format "${FORMAT}", got ${describe(metadata.format)}`);
  }
  const step = Number(metadata.step);
  const random = parseJson(metadata.random ?? "", `${LOAD}: the random state`);
  const names = parseJson(metadata.trajectories ?? "", `${LOAD}: the list of trajectories`);
  try {
    checkCount(LOAD, "step", step, 0);
    checkRandom(LOAD, random);
  } catch (cause) {
    throw new SyntaxError((cause as Error).message, { cause });
  }
  if (!Array.isArray(names)) throw new SyntaxError(`${LOAD}: trajectories must be a list, got ${describe(names)}`);
  const made: Tensor[] = [];
  const place = (name: string): Tensor => {
    if (!Object.hasOwn(tensors, name)) throw new SyntaxError(`${LOAD}: expected a tensor "${name}", got none`);
    const value = tensor(device, tensors[name]!, name);
    made.push(value);
    return value;
  };
  try {
    const [params, state] = PARTS.map((part) => readTree(part, metadata[part], place)) as [P, OptimizerState];
    if (options.warmStarts !== undefined) {
      for (const [k, [path, id]] of (names as [string, SequenceId][]).entries()) {
        const states = place(`trajectory.${k}`);
        options.warmStarts.keep({ path, id, states });
        states.dispose();
      }
    }
    return { step, params, state, random };
  } catch (error) {
    for (const value of made) value.dispose();
    throw error;
  }
}

/** Throws unless `random` can be the state of a stream: one of zeros would stay what it is. */
export function checkRandom(context: string, random: unknown, what = "random"): asserts random is RandomState {
  const isWord = (value: unknown): boolean =>
    Number.isInteger(value) && value as number >= 0 && value as number < 2 ** 32;
  if (Array.isArray(random) && random.length === 4 && random.every(isWord) && random.some((word) => word > 0)) return;
  const came = Array.isArray(random) ? `[${random.map(describe).join(", ")}]` : describe(random);
  throw new TypeError(`${context}: ${what} must be four whole numbers below 2^32, not all 0, got ${came}`);
}

/** A tree with tensors where its text has `true`, and counts where it has texts. */
function readTree(part: string, text: string | undefined, place: (name: string) => Tensor): Tree<Leaf> {
  const tree = parseJson(text ?? "", `${LOAD}: the tree of ${part}`);
  if (!isRecord(tree)) throw new SyntaxError(`${LOAD}: ${part} must be a record, got ${describe(tree)}`);
  return mapTree<unknown, Leaf>(tree as Tree<unknown>, (value): value is unknown => !isRecord(value), (leaf, path) => {
    if (typeof leaf === "string") return Number(leaf);
    if (leaf === true) return place(`${part}.${path}`);
    throw new SyntaxError(`${LOAD}: ${part}.${path} must be true or a text, got ${describe(leaf)}`);
  });
}
