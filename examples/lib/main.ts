/** What every example does as a program. */

import { DeviceError, SolveError } from "@cervid/cervid";
import { FlagError } from "./read_flags.ts";

/** An example: its command line, what `--help` prints, and what it does. */
export interface Program<O extends { readonly help: boolean }> {
  /** Throws a {@linkcode FlagError} for flags that are at fault. */
  parse(args: readonly string[]): O;
  readonly usage: string;
  run(options: O): Promise<void>;
  /** What cannot be run; default "the example". */
  readonly name?: string;
}

/** Runs an example, and ends the process: with 2 where the flags are at fault, 1 where the machine or a solve is. */
export async function runMain<O extends { readonly help: boolean }>(program: Program<O>): Promise<never> {
  Deno.exit(await exitCodeOf(program));
}

async function exitCodeOf<O extends { readonly help: boolean }>(
  { parse, usage, run, name = "the example" }: Program<O>,
): Promise<number> {
  try {
    const options = parse(Deno.args);
    if (options.help) console.log(usage);
    else await run(options);
    return 0;
  } catch (error) {
    if (error instanceof FlagError) {
      console.error(`Cannot run ${name}: ${error.message}; --help lists the flags`);
      return 2;
    }
    if (!(error instanceof DeviceError) && !(error instanceof SolveError)) throw error;
    console.error(error.message);
    return 1;
  }
}
