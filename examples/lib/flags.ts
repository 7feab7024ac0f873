/** The command line of the ECG example: flags to options, or one line that says what is wrong with them. */

import type { DeviceOptions, MethodName } from "@cervid/cervid";
import { FlagError, readChoice, readCount, readFlags } from "./read_flags.ts";

/** What a run was asked to do. */
export interface Options {
  readonly methods: readonly MethodName[];
  /** Samples to read; the entire record where absent. */
  readonly length: number | undefined;
  readonly hidden: number;
  readonly backend: NonNullable<DeviceOptions["backend"]>;
  readonly dtype: NonNullable<DeviceOptions["dtype"]>;
  readonly seed: number;
  readonly maxSweeps: number;
  /** Where the figure goes, relative to the working directory; `examples/out/ecg.svg` where absent. */
  readonly svg: string | undefined;
  readonly json: boolean;
  readonly help: boolean;
}

/** A record, so that the compiler notices a method that is missing or unknown. */
const METHODS: Readonly<Record<MethodName, true>> = {
  "auto": true,
  "sequential": true,
  "deer": true,
  "quasi-deer": true,
  "block-deer": true,
  "jacobi": true,
  "picard": true,
  "quasi-elk": true,
  "elk": true,
};
const BACKENDS = ["auto", "cpu", "webgpu"] as const;
const DTYPES = ["f32", "f64"] as const;
/** Of the trained network. */
export const TRAINED_HIDDEN = 16;
/** Largest hidden size: beyond it a run takes minutes. */
const MAX_HIDDEN = 512;

/** What `--help` prints. */
export const USAGE: string =
  `Reads an electrocardiogram with a GRU, in parallel over time, by several methods side by side.

Usage: deno task demo [flags]

  --method NAMES    comma list of ${Object.keys(METHODS).slice(0, 5).join(", ")},
                    ${Object.keys(METHODS).slice(5).join(", ")}
                    (default sequential,deer,quasi-deer,jacobi)
  --length N        only the first N samples (default all 108000)
  --hidden N        hidden size (default ${TRAINED_HIDDEN}, which is trained; any other is initialised at random)
  --seed N          of the random initialisation (default 0)
  --backend NAME    ${BACKENDS.join(", ")} (default auto)
  --dtype NAME      ${DTYPES.join(", ")} (default f32)
  --max-sweeps N    at which a method is cut off (default 30; 50 with f64)
  --svg FILE        where the figure goes (default examples/out/ecg.svg)
  --json            results as JSON on stdout, and nothing else there
  --help            this text`;

const FLAGS = {
  method: { type: "string", default: "sequential,deer,quasi-deer,jacobi" },
  length: { type: "string" },
  hidden: { type: "string", default: String(TRAINED_HIDDEN) },
  seed: { type: "string", default: "0" },
  backend: { type: "string", default: "auto" },
  dtype: { type: "string", default: "f32" },
  "max-sweeps": { type: "string" },
  svg: { type: "string" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

/** The options of a command line; throws a {@linkcode FlagError} for anything unknown. */
export function parseFlags(args: readonly string[]): Options {
  const values = readFlags(args, FLAGS);
  const dtype = readChoice("dtype", values.dtype, DTYPES);
  return {
    methods: readMethods(values.method),
    length: values.length === undefined ? undefined : readCount("length", values.length, 10),
    hidden: readCount("hidden", values.hidden, 1, MAX_HIDDEN),
    backend: readChoice("backend", values.backend, BACKENDS),
    dtype,
    seed: readCount("seed", values.seed, 0, 2 ** 32 - 1),
    maxSweeps: readCount("max-sweeps", values["max-sweeps"] ?? (dtype === "f32" ? "30" : "50"), 1),
    svg: values.svg,
    json: values.json,
    help: values.help,
  };
}

function readMethods(text: string): MethodName[] {
  const isMethod = (name: string): name is MethodName => Object.hasOwn(METHODS, name);
  const names = text.split(",").map((name) => name.trim());
  return [...new Set(names)].map((name) => {
    if (isMethod(name)) return name;
    throw new FlagError(`--method must be one of ${Object.keys(METHODS).join(", ")}, got "${name}"`);
  });
}
