import type { Shape } from "../core/types.ts";
import type { Device } from "../device.ts";
import type { IndicesLike } from "../map/indices.ts";
import type { Method, MethodName } from "../solve/methods.ts";
import type { Solution } from "../solve/solution.ts";
import type { Tensor, TensorLike } from "../tensor.ts";

/**
 * Keeps the trajectories of the nonlinear recurrences of a model from one call to the next: warm starts. Paths name a
 * recurrence in its model, "layer1" or "layer0.forward"; one by itself has the path "".
 */
export interface TrajectoryMemory {
  /**
   * Where the sweeps of a recurrence start, nothing for its own guess: a trajectory of `shape`, `(B, T, D)` or `(T, D)`, or a
   * list of one for each sequence. It stays the memory's.
   */
  get(path: string, shape: Shape): TensorLike | readonly (TensorLike | undefined)[] | undefined;
  /** The trajectory that was found, the layer's own: what is to be kept is copied before it returns. Nothing waits for it. */
  set(path: string, states: Tensor): void;
}

/** Where a layer starts from, and where it runs. "Before the first step" is after the last row where time runs backward. */
export interface LayerOptions {
  /** `(B, D)`, or `(D)` for all sequences: the states before the first step; zeros if absent. */
  h0?: TensorLike | undefined;
  /** `(B, C)` or `(C)`: the inputs before the first step, as `run` of the piece before returned them; zeros if absent. */
  carry?: TensorLike | undefined;
  /** Needed only where no argument is a device tensor. */
  device?: Device;
  /**
   * `(B)`: how many steps of each sequence count, the first ones; all if absent. A mean over steps is over these, a layer that
   * runs backward begins at the last of them, and `run` answers with the states after it. But for a mean they must be in host
   * memory. Inputs in the padding must be finite, 0 for example: outputs there are not wanted, but gradients multiply what comes
   * of them by 0, and 0 times NaN is NaN.
   */
  lengths?: IndicesLike | undefined;
  /**
   * Called for every solve of a nonlinear recurrence, with its path in the model. `verdict` waits for the device, and answers
   * with what the solve took or throws its `SolveError`; it may be left: until it is called its solve holds a few words a
   * sequence. The tensors of its solution are the layer's. Without `onSolve` nobody waits, and the outputs of
   * sequences that could not be solved are NaN.
   */
  onSolve?: ((verdict: () => Promise<Solution>, path: string) => void) | undefined;
  /** Warm starts. */
  memory?: TrajectoryMemory | undefined;
  /** Solves all nonlinear recurrences by this method instead of their own. */
  method?: MethodName | Method | undefined;
}

/** The names of all options, each once. */
export const LAYER_OPTIONS: readonly (keyof LayerOptions)[] = [
  "h0",
  "carry",
  "device",
  "lengths",
  "onSolve",
  "memory",
  "method",
];

/**
 * What `run` of a layer returns. "After the last step" is at the first row where time runs backward, and with `lengths` after
 * the last step of each sequence that counts.
 */
export interface LayerRun extends Disposable {
  /** `(B, T, H)` or `(T, H)` */
  readonly ys: Tensor;
  /** `(B, D)` or `(D)`: the states after the last step. */
  readonly hT: Tensor;
  /** `(B, C)` or `(C)`: the last inputs that count in the order of their rows, which the next piece reads too; absent where C is 0. */
  readonly carry?: Tensor;
  /** Frees its tensors. */
  dispose(): void;
}

/** What a layer's run is made of, in parts. */
export type LayerParts = Partial<Pick<LayerRun, "ys" | "hT" | "carry">>;

/** What was run, with the methods that free it. */
export function createRun(parts: LayerParts): LayerRun {
  const dispose = (): void => {
    for (const part of [parts.ys, parts.hT, parts.carry]) part?.dispose();
  };
  return { ...parts, dispose, [Symbol.dispose]: dispose } as LayerRun;
}

/** The options that a layer hands to the layer `name` inside it, all but where that starts from. */
export function optionsWithin(
  { device, lengths, onSolve, memory, method }: LayerOptions,
  name: string,
): Omit<LayerOptions, "h0" | "carry"> {
  const pathOf = (path: string): string => path === "" ? name : `${name}.${path}`;
  return {
    ...(device && { device }),
    lengths,
    method,
    onSolve: onSolve && ((verdict, path) => onSolve(verdict, pathOf(path))),
    memory: memory && {
      get: (path, shape) => memory.get(pathOf(path), shape),
      set: (path, states) => memory.set(pathOf(path), states),
    },
  };
}
