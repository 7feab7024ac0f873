import type { Shape } from "../core/types.ts";
import { record } from "../tape.ts";
import { type Tensor, wrapMemory } from "../tensor.ts";
import type { Memory } from "../engine/engine.ts";
import type { KalmanJob } from "./job.ts";
import type { Filtered, States } from "./parallel.ts";

/** What {@linkcode kalmanFilter} found. */
export interface FilterPosterior extends Disposable {
  /** `()` or `(B)`: `log p(y[0], ..., y[T-1])` of what is not missing. */
  readonly marginalLogLik: Tensor;
  /** `(T, D)` or `(B, T, D)`: the mean of x[t] given y[0] to y[t]. */
  readonly filteredMeans: Tensor;
  /** `(T, D, D)` or `(B, T, D, D)` */
  readonly filteredCovariances: Tensor;
  /** Frees its tensors. */
  dispose(): void;
}

/** What {@linkcode kalmanSmoother} found. */
export interface SmootherPosterior extends FilterPosterior {
  /** `(T, D)` or `(B, T, D)`: the mean of x[t] given all measurements. */
  readonly smoothedMeans: Tensor;
  /** `(T, D, D)` or `(B, T, D, D)` */
  readonly smoothedCovariances: Tensor;
}

/** Tensors of what a job found, by name. */
export class Answer {
  readonly #tensors: Tensor[] = [];

  constructor(readonly job: KalmanJob, readonly name: string) {}

  #wrap(memory: Memory, shape: Shape, label: string): Tensor {
    const { device } = this.job;
    const tensor = wrapMemory(device, shape, this.job.release(memory), label);
    this.#tensors.push(tensor);
    return tensor;
  }

  #states({ means, covariances }: States, label: string): readonly [means: Tensor, covariances: Tensor] {
    const { batch, time, batched, layout: { states: n } } = this.job;
    const rows = batched ? [batch, time] : [time];
    return [
      this.#wrap(means, [...rows, n], `${label} means`),
      this.#wrap(covariances, [...rows, n, n], `${label} covariances`),
    ];
  }

  /** The posterior as the caller gets it. */
  finish(filtered: Filtered, smoothed: States | null): FilterPosterior | SmootherPosterior {
    const { job: { batch, batched, sources }, name } = this;
    const marginalLogLik = this.#wrap(filtered.logLik, batched ? [batch] : [], "the marginal log-likelihood");
    const [filteredMeans, filteredCovariances] = this.#states(filtered, "filtered");
    const [smoothedMeans, smoothedCovariances] = smoothed === null ? [] : this.#states(smoothed, "smoothed");
    const tensors = this.#tensors;
    record({
      name,
      inputs: sources,
      outputs: tensors,
      holds: [],
      pullback: () => {
        throw new TypeError(
          `Cannot differentiate ${name}(): it has no pullback; write the recursion as a step, and solve it`,
        );
      },
    });
    const dispose = (): void => {
      for (const tensor of tensors) tensor.dispose();
    };
    return {
      marginalLogLik,
      filteredMeans,
      filteredCovariances,
      ...(smoothedMeans && smoothedCovariances && { smoothedMeans, smoothedCovariances }),
      dispose,
      [Symbol.dispose]: dispose,
    };
  }
}
