/** The command line of the example of unstable recurrences. */

import type { Damping, DeviceOptions } from "@cervid/cervid";
import { FlagError, readChoice, readCount, readFlags, readNumber } from "./read_flags.ts";

/** The recurrences by name. */
export type CaseName = "ar-gru" | "lorenz-96";

/** What a run was asked to do. */
export interface UnstableFlags {
  readonly cases: readonly CaseName[];
  /** Steps of each case; its own default where absent. */
  readonly length: number | undefined;
  /** Of the GRU: the standard deviation of the noise that drives it, and where it starts. */
  readonly noise: number;
  readonly start: number;
  readonly seed: number;
  readonly scale: number;
  readonly damping: Damping;
  readonly quasiDamping: Damping;
  readonly guess: "f0" | "h0" | "zeros";
  /** T where absent. */
  readonly maxSweeps: number | undefined;
  readonly svg: string | undefined;
  readonly backend: NonNullable<DeviceOptions["backend"]>;
  readonly dtype: NonNullable<DeviceOptions["dtype"]>;
  readonly json: boolean;
  readonly help: boolean;
}

const CASES = ["ar-gru", "lorenz-96"] as const;
const GUESSES = ["zeros", "f0", "h0"] as const;
const BACKENDS = ["cpu", "webgpu", "auto"] as const;
const DTYPES = ["f32", "f64"] as const;
/** Above it the iterates that are drawn fill the memory. */
const MOST_STEPS = 100_000;

/** What `--help` prints. */
export const UNSTABLE_USAGE: string =
  `Solves two recurrences that amplify small differences: a trained GRU that draws its own next input and starts three
times beyond the waves that it was trained on, and Lorenz 96. deer, quasi-deer, elk, quasi-elk and scaled deer side by side.

Usage: deno run -A examples/unstable.ts [flags]

  --case NAMES           comma list of ${CASES.join(", ")} (default both)
  --length N             steps (default 2000 of ar-gru, 1000 of lorenz-96)
  --noise SD             that drives the GRU (default 1, as in training)
  --start X              where the GRU starts; in training near 0, in waves of amplitude 10 (default 30;
                         --start=-30 for negative ones)
  --seed N               of the noise, and of the state that Lorenz 96 starts in (default 0)
  --scale K              of scaled deer, whose Jacobian counts (1 - K) times (default 0.1)
  --damping L            λ of elk, or adaptive (the default)
  --quasi-damping L      λ of quasi-elk, or adaptive (the default)
  --guess NAME           where sweeps start: ${GUESSES.join(", ")} (default zeros)
  --max-sweeps N         at which a method is cut off (default all that can be needed: the length)
  --svg FILE             where the figure goes (default examples/out/unstable.svg)
  --backend NAME         ${BACKENDS.join(", ")} (default cpu: sweeps are hundreds)
  --dtype NAME           ${DTYPES.join(", ")} (default f32)
  --json                 results as JSON on stdout, and nothing else there
  --help                 this text`;

const FLAGS = {
  "case": { type: "string", default: CASES.join(",") },
  "length": { type: "string" },
  "noise": { type: "string", default: "1" },
  "start": { type: "string", default: "30" },
  "seed": { type: "string", default: "0" },
  "scale": { type: "string", default: "0.1" },
  "damping": { type: "string", default: "adaptive" },
  "quasi-damping": { type: "string", default: "adaptive" },
  "guess": { type: "string", default: "zeros" },
  "max-sweeps": { type: "string" },
  "svg": { type: "string" },
  "backend": { type: "string", default: "cpu" },
  "dtype": { type: "string", default: "f32" },
  "json": { type: "boolean", default: false },
  "help": { type: "boolean", default: false },
} as const;

/** The options of a command line; throws a {@linkcode FlagError} for anything unknown. */
export function parseUnstableFlags(args: readonly string[]): UnstableFlags {
  const values = readFlags(args, FLAGS);
  const backend = readChoice("backend", values.backend, BACKENDS);
  const dtype = readChoice("dtype", values.dtype, DTYPES);
  if (dtype === "f64" && backend === "webgpu") throw new FlagError("--dtype f64 needs --backend cpu or auto");
  const optional = (flag: "length" | "max-sweeps", least: number, most?: number): number | undefined =>
    values[flag] === undefined ? undefined : readCount(flag, values[flag], least, most);
  return {
    cases: [...new Set(values.case.split(",").map((name) => readChoice("case", name.trim(), CASES)))],
    length: optional("length", 10, MOST_STEPS),
    noise: readWithin("noise", values.noise, 0, Infinity),
    start: readNumber("start", values.start),
    seed: readCount("seed", values.seed, 0, 2 ** 32 - 1),
    scale: readWithin("scale", values.scale, 0, 1),
    damping: readDamping("damping", values.damping),
    quasiDamping: readDamping("quasi-damping", values["quasi-damping"]),
    guess: readChoice("guess", values.guess, GUESSES),
    maxSweeps: optional("max-sweeps", 1),
    svg: values.svg,
    backend,
    dtype,
    json: values.json,
    help: values.help,
  };
}

function readWithin(flag: string, text: string, low: number, high: number): number {
  const value = readNumber(flag, text);
  if (value >= low && value <= high) return value;
  throw new FlagError(
    `--${flag} must be ${high === Infinity ? `at least ${low}` : `from ${low} to ${high}`}, got "${text}"`,
  );
}

function readDamping(flag: string, text: string): Damping {
  return text === "adaptive" ? text : readWithin(flag, text, 0, Infinity);
}
