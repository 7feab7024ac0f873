/** The command line of the example of a million steps. */

import type { DeviceOptions } from "@cervid/cervid";
import { FlagError, readChoice, readCount, readFlags, readNumber } from "./read_flags.ts";

/** What a run was asked to do. */
export interface MillionOptions {
  /** Whether the network is trained, at these lengths one after the other. */
  readonly train: boolean;
  /** Where the curve of a training goes. */
  readonly out: string | undefined;
  readonly lengths: readonly number[];
  readonly hidden: number;
  readonly features: number;
  readonly forgetBias: number;
  /** The longest sequence that the cell reads too. */
  readonly cellUpTo: number;
  /** Steps of a piece. */
  readonly piece: number;
  readonly backend: NonNullable<DeviceOptions["backend"]>;
  readonly dtype: NonNullable<DeviceOptions["dtype"]>;
  readonly seed: number;
  readonly json: boolean;
  readonly help: boolean;
}

const BACKENDS = ["auto", "cpu", "webgpu"] as const;
const DTYPES = ["f32", "f64"] as const;
/** Beyond it a run takes hours. */
const MAX_LENGTH = 2 ** 26;

/** What `--help` prints. */
export const MILLION_USAGE: string =
  `Two layers of GILR-LSTM read sequences of up to a million steps, of which only the first is not noise: by scans over
pieces that carry the state, and for the shorter ones step after step.

Usage: deno run -A examples/million_step.ts [flags]

  --train           trains the network to tell the first element, at each length until it can, the shortest first
  --out FOLDER      where the curve of a training goes (default examples/out)
  --length LIST     lengths, a comma list (default 1024,8192,65536,1048576; with --train 64,256,1024,...,1048576)
  --hidden N        units of each layer (default 16; the paper has 64 for the longest, 512 for the others)
  --features N      numbers of each step (default 128, as in the paper)
  --forget-bias B   of the gates of the LSTM (default 5, as in the paper; the logarithm of the length remembers x[0], and is
                    the default with --train)
  --cell-up-to N    the longest sequence that the cell reads too, step after step (default 65536)
  --piece N         steps of a piece (default 4096)
  --seed N          of the parameters and of the noise (default 0)
  --backend NAME    ${BACKENDS.join(", ")} (default auto)
  --dtype NAME      ${DTYPES.join(", ")} (default f32)
  --json            results as JSON on stdout, and nothing else there
  --help            this text`;

const FLAGS = {
  "train": { type: "boolean", default: false },
  "out": { type: "string" },
  "length": { type: "string" },
  "hidden": { type: "string", default: "16" },
  "features": { type: "string", default: "128" },
  "forget-bias": { type: "string" },
  "cell-up-to": { type: "string", default: "65536" },
  "piece": { type: "string", default: "4096" },
  "seed": { type: "string", default: "0" },
  "backend": { type: "string", default: "auto" },
  "dtype": { type: "string", default: "f32" },
  "json": { type: "boolean", default: false },
  "help": { type: "boolean", default: false },
} as const;

/** The options of a command line; throws a {@linkcode FlagError} for anything unknown. */
export function parseMillionFlags(args: readonly string[]): MillionOptions {
  const values = readFlags(args, FLAGS);
  const dtype = readChoice("dtype", values.dtype, DTYPES);
  const backend = readChoice("backend", values.backend, BACKENDS);
  if (dtype === "f64" && backend === "webgpu") throw new FlagError("--dtype f64 needs --backend cpu or auto");
  const { train } = values;
  const given = values.length ?? (train ? "64,256,1024,4096,16384,65536,262144,1048576" : "1024,8192,65536,1048576");
  const lengths = given.split(",").map((length) => readCount("length", length.trim(), 1, MAX_LENGTH));
  if (train) lengths.sort((a, b) => a - b);
  return {
    train,
    out: values.out,
    lengths,
    hidden: readCount("hidden", values.hidden, 1, 512),
    features: readCount("features", values.features, 1, 4096),
    forgetBias: readNumber("forget-bias", values["forget-bias"] ?? (train ? longMemory(lengths.at(-1)!) : "5")),
    cellUpTo: readCount("cell-up-to", values["cell-up-to"], 0),
    piece: readCount("piece", values.piece, 1, 2 ** 20),
    backend,
    dtype,
    seed: readCount("seed", values.seed, 0, 2 ** 32 - 1),
    json: values.json,
    help: values.help,
  };
}

/** A bias at which a third of a state is left after so many steps. */
const longMemory = (time: number): string => Math.log(Math.max(time, 2)).toFixed(2);
