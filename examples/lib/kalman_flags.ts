/** The command line of the Kalman example. */

import type { DeviceOptions } from "@cervid/cervid";
import { FIRST_YEAR, type Gap, MODEL_NAMES, type ModelName, NILE } from "./nile.ts";
import { FlagError, readChoice, readCount, readFlags, readNumber } from "./read_flags.ts";

/** What a run was asked to do. */
export interface KalmanFlags {
  readonly model: ModelName;
  readonly gaps: readonly Gap[];
  /** Samples of the electrocardiogram; all by default, 0 leaves it out. */
  readonly length: number | undefined;
  /** The standard deviation of the noise that is added to it, in mV. */
  readonly noise: number;
  readonly seed: number;
  readonly svg: string | undefined;
  readonly backend: NonNullable<DeviceOptions["backend"]>;
  readonly dtype: NonNullable<DeviceOptions["dtype"]>;
  readonly json: boolean;
  readonly help: boolean;
}

const BACKENDS = ["auto", "cpu", "webgpu"] as const;
const DTYPES = ["f32", "f64"] as const;
const LAST_YEAR = FIRST_YEAR + NILE.length - 1;

/** What `--help` prints. */
export const KALMAN_USAGE: string =
  `Filters and smooths the flow of the Nile, some years of which are missing, then an electrocardiogram with noise added to
it: step after step, and in parallel over time.

Usage: deno run -A examples/kalman.ts [flags]

  --model NAME     of the Nile: ${MODEL_NAMES.join(", ")} (default level)
  --missing LIST   years of the Nile that are missing, such as 1891-1910,1931-1950 (the default), or none
  --length N       samples of the electrocardiogram (default all, 0 for none)
  --noise SD       of the noise that is added to it, in mV (default 0.1)
  --seed N         of that noise (default 0)
  --svg FILE       where the figure goes (default examples/out/kalman.svg)
  --backend NAME   ${BACKENDS.join(", ")} (default auto)
  --dtype NAME     ${DTYPES.join(", ")} (default f64 with --backend cpu, else f32)
  --json           results as JSON on stdout, and nothing else there
  --help           this text`;

const FLAGS = {
  "model": { type: "string", default: "level" },
  "missing": { type: "string", default: "1891-1910,1931-1950" },
  "length": { type: "string" },
  "noise": { type: "string", default: "0.1" },
  "seed": { type: "string", default: "0" },
  "svg": { type: "string" },
  "backend": { type: "string", default: "auto" },
  "dtype": { type: "string" },
  "json": { type: "boolean", default: false },
  "help": { type: "boolean", default: false },
} as const;

/** The options of a command line; throws a {@linkcode FlagError} for anything unknown. */
export function parseKalmanFlags(args: readonly string[]): KalmanFlags {
  const values = readFlags(args, FLAGS);
  const backend = readChoice("backend", values.backend, BACKENDS);
  const dtype = readChoice("dtype", values.dtype ?? (backend === "cpu" ? "f64" : "f32"), DTYPES);
  if (dtype === "f64" && backend === "webgpu") throw new FlagError("--dtype f64 needs --backend cpu or auto");
  const noise = readNumber("noise", values.noise);
  if (noise <= 0) throw new FlagError(`--noise must be greater than 0, got "${values.noise}"`);
  return {
    model: readChoice("model", values.model, MODEL_NAMES),
    gaps: readGaps(values.missing),
    length: values.length === undefined ? undefined : readCount("length", values.length, 0),
    noise,
    seed: readCount("seed", values.seed, 0, 2 ** 32 - 1),
    svg: values.svg,
    backend,
    dtype,
    json: values.json,
    help: values.help,
  };
}

function readGaps(text: string): Gap[] {
  if (text === "none") return [];
  return text.split(",").map((part) => {
    const [from = NaN, to = from] = /^\d{4}(-\d{4})?$/.test(part.trim()) ? part.split("-").map(Number) : [];
    if (FIRST_YEAR <= from && from <= to && to <= LAST_YEAR) return [from, to];
    throw new FlagError(`--missing must be years from ${FIRST_YEAR} to ${LAST_YEAR}, such as 1891-1910, got "${part}"`);
  });
}
