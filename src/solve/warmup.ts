import { checkKeys } from "../core/describe.ts";
import { checkCount } from "../core/shape.ts";
import { type Device, engineOf } from "../device.ts";
import { programOf, type Step } from "../step.ts";
import { chooseMethod } from "./auto.ts";
import { type Method, type MethodName, resolveMethod, transitionOf } from "./methods.ts";

/** What {@linkcode warmup} prepares for. */
export interface WarmupOptions {
  /** Default `auto`. */
  readonly method?: MethodName | Method;
  /** B of the solves to come. Default 1. */
  readonly batch?: number;
  /** T of the solves to come. Default 1000. */
  readonly time?: number;
}

/**
 * Compiles what solves of `step` by a method will run, so that the first of them is as fast as the others; sizes decide
 * which kernels that are. (Some drivers finish compiling at the first run all the same.) Without it they are compiled at first use, and kept as long as the device.
 *
 * Cost: on WebGPU some milliseconds to seconds, depending on the driver; on the CPU engine microseconds. Throws (rejects
 * with) a `KernelError` with the compiler's message and the lines of code around it if the device refuses a kernel; the
 * device stays usable then. Throws a `RangeError` for bad options.
 *
 * @example
 * ```ts
 * import { gru, openDevice, warmup } from "@cervid/cervid";
 *
 * await using device = await openDevice({ backend: "cpu" });
 * await warmup(device, gru({ input: 1, hidden: 4 }), { method: "deer", time: 10_000 });
 * ```
 */
export async function warmup(device: Device, step: Step, options: WarmupOptions = {}): Promise<void> {
  const program = programOf(step);
  const context = `Cannot warm up "${program.name}"`;
  const engine = engineOf(device);
  checkKeys(context, "options", options, ["method", "batch", "time"]);
  const { batch = 1, time = 1000 } = options;
  checkCount(context, "batch", batch, 1);
  checkCount(context, "time", time, 1);
  const method = resolveMethod(options.method ?? "auto") ?? chooseMethod(program, engine, batch, time);
  await engine.warm(program, transitionOf(program, method), batch, time);
}
