import { describe } from "../core/describe.ts";
import { formatShape, sameShape, sizeOf } from "../core/shape.ts";
import { flattenTree, mapTree } from "../core/tree.ts";
import type { Tree } from "../core/types.ts";
import { type Device, engineOf } from "../device.ts";
import type { Memory } from "../engine/engine.ts";
import { refuse } from "../tape.ts";
import { isTensor, isTensorLike, memoryOf, type Tensor, type TensorLike, wrapMemory } from "../tensor.ts";
import type { RowProgram } from "../trace/rows.ts";

/** The tensors of a tree of parameters, with what belongs to each. */
export interface Leaves {
  readonly context: string;
  readonly device: Device;
  readonly tree: Tree<Tensor>;
  readonly paths: readonly string[];
  readonly tensors: readonly Tensor[];
}

/** The leaves of a tree of parameters: float tensors of one device. */
export function leavesOf(context: string, tree: Tree<Tensor>): Leaves {
  const entries = flatten(context, "params", tree);
  const device = entries[0]?.[1].device;
  if (device === undefined) throw new TypeError(`${context}: params must have at least one tensor, got none`);
  for (const [path, leaf] of entries) {
    if (leaf.device !== device) throw new TypeError(`${context}: params.${path} lives on another device than the rest`);
    if (leaf.dtype !== device.dtype) {
      throw new TypeError(`${context}: params.${path} must have dtype ${device.dtype}, got ${leaf.dtype}`);
    }
  }
  const paths = new Map(entries.map(([path, leaf]) => [leaf, path]));
  for (const [path, leaf] of entries) {
    const other = paths.get(leaf)!;
    if (other === path) continue;
    throw new TypeError(
      `${context}: params.${path} and params.${other} are one tensor, which steps would part; give it one name, and use it twice`,
    );
  }
  return {
    context,
    device,
    tree,
    paths: entries.map(([path]) => path),
    tensors: entries.map(([, leaf]) => leaf),
  };
}

/** The leaves of another tree in the order of `leaves`, which must have the same names, shapes and device. */
export function matchLeaves({ context, device, paths, tensors }: Leaves, what: string, tree: unknown): Tensor[] {
  const given = new Map(flatten(context, what, tree));
  const missing = paths.filter((path) => !given.has(path));
  const unknown = [...given.keys()].filter((path) => !paths.includes(path));
  if (missing.length > 0 || unknown.length > 0) {
    const parts = [[missing, "missing"], [unknown, "unknown"]] as const;
    const problems = parts.filter(([names]) => names.length > 0).map(([names, kind]) => `${names.join(", ")} ${kind}`);
    throw new TypeError(
      `${context}: ${what} must be { ${paths.join(", ")} }, as params are, but ${problems.join(", ")}`,
    );
  }
  return paths.map((path, k) => {
    const leaf = given.get(path)!;
    const { shape } = tensors[k]!;
    if (!sameShape(leaf.shape, shape)) {
      throw new TypeError(
        `${context}: ${what}.${path} must have shape ${formatShape(shape)}, got ${formatShape(leaf.shape)}`,
      );
    }
    if (leaf.device !== device || leaf.dtype !== device.dtype) {
      throw new TypeError(`${context}: ${what}.${path} must be of dtype ${device.dtype} on the device of params`);
    }
    return leaf;
  });
}

function flatten(context: string, what: string, tree: unknown): [string, Tensor][] {
  if (typeof tree !== "object" || tree === null || isTensor(tree)) {
    throw new TypeError(`${context}: ${what} must be a record of tensors, got ${describe(tree)}`);
  }
  return flattenTree<TensorLike>(tree as Tree<TensorLike>, isTensorLike).map(([path, leaf]) => {
    if (isTensor(leaf)) return [path, leaf];
    throw new TypeError(`${context}: ${what}.${path} must be a tensor on a device, got host data; use toDevice()`);
  });
}

/** Tensors in the tree of parameters, one for each leaf. */
export function treeLike({ tree, paths }: Leaves, tensors: readonly Tensor[]): Tree<Tensor> {
  const byPath = new Map(paths.map((path, k) => [path, tensors[k]!]));
  return mapTree<Tensor, Tensor>(tree, isTensor, (_, path) => byPath.get(path)!);
}

/** Zeros in the tree of parameters. */
export function zerosLike(leaves: Leaves, what: string): Tree<Tensor> {
  const engine = engineOf(leaves.device);
  return treeLike(
    leaves,
    leaves.tensors.map(({ shape }, k) => {
      const label = `${what} of ${leaves.paths[k]}`;
      return wrapMemory(leaves.device, [...shape], engine.upload(new Float32Array(sizeOf(shape)), label), label);
    }),
  );
}

/**
 * One pass over the elements of leaf k: `outputs[i] = f(inputs[i]; numbers)` for all elements i, as new tensors of its shape,
 * in the order of the program's outputs. `inputs` are in the order of their names.
 */
export function mapLeaf(
  { device, tensors, paths }: Leaves,
  k: number,
  program: RowProgram,
  inputs: readonly Tensor[],
  numbers: Memory | null,
): Tensor[] {
  const engine = engineOf(device);
  const { shape } = tensors[k]!;
  const size = sizeOf(shape);
  const outputs = program.outputs.map(({ path }) => {
    const label = `${path} of ${paths[k]}`;
    return wrapMemory(device, [...shape], engine.allocate(engine.dtype, size, label), label);
  });
  engine.map({
    program,
    params: numbers === null ? [] : [numbers],
    inputs: inputs.map((input) => ({ memory: memoryOf(input), start: null })),
    outputs: outputs.map(memoryOf),
    batch: 1,
    time: size,
  });
  return outputs;
}

/** The same for an optimizer: gradients do not flow back to `sources`, what the answers and `numbers` come from, and say so. */
export function updateLeaf(
  leaves: Leaves,
  k: number,
  program: RowProgram,
  inputs: readonly Tensor[],
  numbers: Memory | null,
  sources: readonly Tensor[] = inputs,
): Tensor[] {
  const outputs = mapLeaf(leaves, k, program, inputs, numbers);
  const { name } = program;
  refuse(name, `what the update of ${name}() returns`, "of a step only applyUpdates() has one", sources, outputs);
  return outputs;
}

/** Lends numbers on the device. */
export function withNumbers<R>({ device }: Leaves, numbers: readonly number[], use: (memory: Memory) => R): R {
  const engine = engineOf(device);
  const memory = engine.upload(Float64Array.from(numbers), "numbers of a step");
  try {
    return use(memory);
  } finally {
    engine.free(memory);
  }
}
