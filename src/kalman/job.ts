import { checkKeys, describe } from "../core/describe.ts";
import { DeviceError } from "../core/errors.ts";
import { sizeOf } from "../core/shape.ts";
import { type Device, engineOf } from "../device.ts";
import type { Engine, Memory } from "../engine/engine.ts";
import { findDevice, place } from "../place.ts";
import { memoryOf, type Tensor, type TensorLike } from "../tensor.ts";
import type { RowProgram } from "../trace/rows.ts";
import { checkModel, type LinearGaussianModel, type ModelLayout, type Rows } from "./model.ts";
import { rowParts } from "./programs.ts";

/** How {@linkcode kalmanFilter} and {@linkcode kalmanSmoother} run. */
export interface KalmanOptions {
  /** Needed only where no argument is a device tensor. */
  device?: Device;
  /**
   * Whether by a scan, parallel over time, or step after step. By default parallel on GPUs with up to 12 states, and step after
   * step elsewhere: on few threads that is less work.
   */
  parallel?: boolean;
}

/** States up to which an invocation of WebGPU can combine elements. */
export const MOST_PARALLEL_STATES = 12;

/** A filter or smoother that was checked, its arrays on the device. Memory that it makes is freed by `end`. */
export class KalmanJob implements Rows {
  readonly layout: ModelLayout;
  readonly device: Device;
  readonly engine: Engine;
  readonly batch: number;
  readonly time: number;
  readonly batched: boolean;
  readonly parallel: boolean;
  /** The parts of the model, by name. */
  readonly fixed: Readonly<Record<string, Memory>> = {};
  /** `(B, T, width)` */
  readonly rows: Memory;
  /** What gradients flow to, and how the model calls it. */
  readonly sources: readonly Tensor[];
  readonly names: readonly string[];
  readonly #temporary: Tensor[] = [];
  readonly #owned = new Set<Memory>();

  constructor(readonly context: string, model: LinearGaussianModel, ys: TensorLike, options: KalmanOptions) {
    checkKeys(context, "options", options, ["device", "parallel"]);
    const { device: option, parallel } = options;
    if (parallel !== undefined && typeof parallel !== "boolean") {
      throw new TypeError(`${context}: parallel must be true or false, got ${describe(parallel)}`);
    }
    const [layout, { batch, time, batched }] = checkModel(context, model, ys);
    this.layout = layout;
    this.batch = batch;
    this.time = time;
    this.batched = batched;
    const { initialMean, initialCovariance } = model;
    const given = layout.parts.map(({ name }) => model[name]!);
    this.device = findDevice(context, option, [ys, initialMean, initialCovariance, ...given]);
    this.engine = engineOf(this.device);
    const onGpu = this.engine.backend === "webgpu";
    const tooLarge = onGpu && layout.states > MOST_PARALLEL_STATES;
    if (parallel === true && tooLarge) {
      throw new DeviceError(
        `${context}: in parallel WebGPU takes up to ${MOST_PARALLEL_STATES} states, got ${layout.states}; ` +
          `give parallel: false, or use the CPU engine`,
      );
    }
    this.parallel = parallel ?? (this.engine.speed === "hardware" && !tooLarge);
    try {
      const put = (name: string, value: TensorLike): Tensor =>
        place(context, name, value, this.device, this.#temporary);
      const start = {
        initialMean: put("initialMean", initialMean),
        initialCovariance: put("initialCovariance", initialCovariance),
      };
      const placed = Object.fromEntries(layout.parts.map(({ name }, k) => [name, put(name, given[k]!)]));
      const measurements = put("ys", ys);
      const sources = { ...start, ...placed, ys: measurements };
      this.names = Object.keys(sources);
      this.sources = Object.values(sources);
      this.fixed = Object.fromEntries(
        Object.entries({ ...start, ...placed }).map(([name, tensor]) => [name, memoryOf(tensor)]),
      );
      const parts = rowParts(layout);
      this.rows = parts.length === 0 ? memoryOf(measurements) : this.#packRows(measurements, placed);
    } catch (error) {
      this.end();
      throw error;
    }
  }

  /** `(B, T, width)`: of each step the measurement, and all that changes with it; what sequences share once for each. */
  #packRows(measurements: Tensor, placed: Readonly<Record<string, Tensor>>): Memory {
    const { batch, time, layout: { measured, width } } = this;
    const rows = this.allocate(width, "rows");
    const all = { toStart: 0, toStride: width, width: measured, rows: batch * time };
    this.engine.copy(memoryOf(measurements), rows, { ...all, fromStart: 0, fromStride: measured });
    for (const { name, shape, offset } of rowParts(this.layout)) {
      const size = sizeOf(shape);
      for (let b = 0; b < batch; b++) {
        const toStart = b * time * width + offset;
        const part = { fromStart: 0, fromStride: size, toStart, toStride: width, width: size, rows: time };
        this.engine.copy(memoryOf(placed[name]!), rows, part);
      }
    }
    return rows;
  }

  /** The parameters of a program, in its order. */
  paramsOf({ params }: Pick<RowProgram, "params">): Memory[] {
    return params.map(({ path }) => this.fixed[path]!);
  }

  /** Memory `(B, T, size)`. */
  allocate(size: number, label: string): Memory {
    return this.own(
      this.engine.allocate(this.engine.dtype, this.batch * this.time * size, `${label} of a Kalman filter`),
    );
  }

  /** Takes memory over. */
  own(memory: Memory): Memory {
    this.#owned.add(memory);
    return memory;
  }

  /** Frees memory that is not needed any more. */
  free(...memories: readonly Memory[]): void {
    for (const memory of memories) if (this.#owned.delete(memory)) this.engine.free(memory);
  }

  /** Gives memory to the caller. */
  release(memory: Memory): Memory {
    this.#owned.delete(memory);
    return memory;
  }

  /** Frees all that is left. */
  end(): void {
    this.free(...this.#owned);
    for (const copy of this.#temporary) copy.dispose();
  }
}
