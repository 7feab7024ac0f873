import { formatShape, sameShape } from "../core/shape.ts";
import type { Guess } from "../engine/engine.ts";
import { describe } from "../core/describe.ts";
import { place, shapeOf } from "../place.ts";
import { isTensorLike, memoryOf, type TensorLike } from "../tensor.ts";
import { keepFor, type PreparedProblem } from "./problem.ts";
import type { Solution } from "./solution.ts";

/**
 * Where the sweeps start: `f0` is f(h0, x[t]) for all t, one parallel evaluation (default); `h0` that state for all t;
 * `zeros`; a trajectory of the shape of the answer; a {@linkcode Solution}, whose trajectory is taken: a warm start; or a list
 * of trajectories `(T, D)`, one for each sequence, undefined for one that starts from f0.
 */
export type GuessChoice = TensorLike | Solution | readonly (TensorLike | undefined)[] | "f0" | "h0" | "zeros";

/** A guess as engines understand it; a trajectory must have the shape of the answer. */
export function resolveGuess(name: string, choice: GuessChoice, problem: PreparedProblem, state: number): Guess {
  const context = `Cannot solve "${name}"`;
  if (typeof choice === "string") {
    if (choice === "f0" || choice === "h0" || choice === "zeros") return { kind: choice };
    throw new RangeError(`${context}: guess must be "f0", "h0", "zeros", a tensor or a Solution, got "${choice}"`);
  }
  if (Array.isArray(choice)) return resolveEach(context, choice, problem, state);
  const given: unknown = isTensorLike(choice) ? choice : (choice as Solution | undefined)?.ys;
  if (!isTensorLike(given)) {
    throw new TypeError(
      `${context}: guess must be "f0", "h0", "zeros", a tensor or a Solution, got ${describe(choice)}`,
    );
  }
  const { batch, time, batched } = problem;
  const wanted = batched ? [batch, time, state] : [time, state];
  const shape = shapeOf(context, "guess", given);
  if (!sameShape(shape, wanted)) {
    throw new TypeError(`${context}: guess must have shape ${formatShape(wanted)}, got ${formatShape(shape)}`);
  }
  return {
    kind: "given",
    memory: memoryOf(keepFor(problem, place(context, "guess", given, problem.device, problem.temporary))),
  };
}

/** A list of trajectories, one for each sequence. */
function resolveEach(
  context: string,
  choices: readonly (TensorLike | undefined)[],
  problem: PreparedProblem,
  state: number,
): Guess {
  const { batch, time, device, temporary } = problem;
  if (choices.length !== batch) {
    throw new TypeError(
      `${context}: guess must be one trajectory for each of ${batch} sequences, got a list of ${choices.length}`,
    );
  }
  const memories = choices.map((given, b) => {
    if (given === undefined) return null;
    const what = `guess[${b}]`;
    if (!isTensorLike(given)) {
      throw new TypeError(`${context}: ${what} must be a tensor, { data, shape } or undefined, got ${describe(given)}`);
    }
    const shape = shapeOf(context, what, given);
    if (!sameShape(shape, [time, state])) {
      throw new TypeError(
        `${context}: ${what} must have shape ${formatShape([time, state])}, got ${formatShape(shape)}`,
      );
    }
    return memoryOf(keepFor(problem, place(context, what, given, device, temporary)));
  });
  return memories.every((memory) => memory === null) ? { kind: "f0" } : { kind: "each", memories };
}
