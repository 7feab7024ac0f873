/** Two sets in the `.ts` format of the UEA archive: one that is trained on, one that is held out. */

import { readUea, type UeaDataset } from "@cervid/cervid";
import { explainFileError } from "./output_files.ts";
import { FlagError } from "./read_flags.ts";

/** Sets of the same channels and the same classes, in the same order. */
export interface ClassifierSets {
  readonly train: UeaDataset;
  readonly test: UeaDataset;
}

async function readSet(flag: string, path: string): Promise<UeaDataset> {
  try {
    const set = readUea(await Deno.readTextFile(path));
    if (set.labels === undefined) throw new SyntaxError("its cases have no classes");
    if (set.cases.length === 0) throw new SyntaxError("it has no cases");
    return set;
  } catch (error) {
    const reason = error instanceof SyntaxError ? error.message : explainFileError(error);
    throw new FlagError(`--${flag} ${path} cannot be read: ${reason}`);
  }
}

/** Reads both, and numbers the classes of the second as the first does; throws a {@linkcode FlagError} where they do not fit. */
export async function readUeaSets(
  files: { readonly train: string; readonly test: string },
  batch: number,
): Promise<ClassifierSets> {
  const [train, test] = [await readSet("train", files.train), await readSet("test", files.test)];
  if (train.dimensions !== test.dimensions) {
    throw new FlagError(
      `--test ${files.test} must have as many channels as --train, ${train.dimensions}, got ${test.dimensions}`,
    );
  }
  if (batch > train.cases.length) {
    throw new FlagError(`--batch must be at most the ${train.cases.length} cases of --train, got ${batch}`);
  }
  const names = train.classNames!;
  const labels = Uint32Array.from(test.labels!, (label) => {
    const name = test.classNames![label]!;
    const own = names.indexOf(name);
    if (own >= 0) return own;
    throw new FlagError(
      `--test ${files.test} must have the classes of --train, ${names.join(", ")}, got a case of "${name}"`,
    );
  });
  return { train, test: { ...test, classNames: names, labels } };
}
