/** The flags that examples of training have in common. */

import type { DeviceOptions, MethodName } from "@cervid/cervid";
import { FlagError, readChoice, readCount } from "./read_flags.ts";

/** What every training was asked to do. */
export interface TrainOptions {
  /** Absent: the example's own. */
  readonly steps: number | undefined;
  readonly method: MethodName;
  readonly warmStarts: boolean;
  readonly seed: number;
  readonly backend: NonNullable<DeviceOptions["backend"]>;
  readonly dtype: NonNullable<DeviceOptions["dtype"]>;
  /** Where the curves go. */
  readonly out: string | undefined;
  /** A file that training goes on from, if it is there, and is saved to. */
  readonly checkpoint: string | undefined;
  readonly json: boolean;
  readonly help: boolean;
}

const METHODS = ["auto", "sequential", "deer", "quasi-deer", "elk", "quasi-elk"] as const;
const BACKENDS = ["auto", "cpu", "webgpu"] as const;
const DTYPES = ["f32", "f64"] as const;

/** For `readFlags`. */
export const TRAIN_FLAGS = {
  "steps": { type: "string" },
  "method": { type: "string", default: "auto" },
  "warm-starts": { type: "boolean", default: false },
  "seed": { type: "string", default: "0" },
  "backend": { type: "string", default: "auto" },
  "dtype": { type: "string", default: "f32" },
  "out": { type: "string" },
  "checkpoint": { type: "string" },
  "json": { type: "boolean", default: false },
  "help": { type: "boolean", default: false },
} as const;

/** What `--help` prints of them. */
export const TRAIN_USAGE: string = `  --method NAME      of the solves: ${METHODS.join(", ")} (default auto)
  --warm-starts      solves start from the states that a sequence had the last time
  --seed N           of parameters and batches (default 0)
  --backend NAME     ${BACKENDS.join(", ")} (default auto)
  --dtype NAME       ${DTYPES.join(", ")} (default f32)
  --out FOLDER       where the curves go: JSON, SVG, JSON lines, events for TensorBoard (default examples/out)
  --checkpoint FILE  saved whenever a line is printed; training, and curves, go on from it if it is there
  --json             the result as JSON on stdout, and nothing else there
  --help             this text`;

/** The values of these flags, checked. */
export function readTrainFlags(
  values: { readonly [Name in keyof typeof TRAIN_FLAGS]?: string | boolean | undefined },
): TrainOptions {
  const text = (name: keyof typeof TRAIN_FLAGS): string | undefined => values[name] as string | undefined;
  const dtype = readChoice("dtype", text("dtype")!, DTYPES);
  const backend = readChoice("backend", text("backend")!, BACKENDS);
  if (dtype === "f64" && backend === "webgpu") throw new FlagError("--dtype f64 needs --backend cpu or auto");
  return {
    steps: text("steps") === undefined ? undefined : readCount("steps", text("steps")!, 1, 1e7),
    method: readChoice("method", text("method")!, METHODS),
    warmStarts: values["warm-starts"] === true,
    seed: readCount("seed", text("seed")!, 0, 2 ** 32 - 1),
    backend,
    dtype,
    out: text("out"),
    checkpoint: text("checkpoint"),
    json: values.json === true,
    help: values.help === true,
  };
}
