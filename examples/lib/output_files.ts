/** Files that a run is to write: what is wrong with their paths is said before anything is computed. */

import { dirname, resolve } from "node:path";
import { FlagError } from "./read_flags.ts";

/** What the system says of a file; throws what is no error of its. */
export function explainFileError(error: unknown): string {
  if (error instanceof Error && typeof (error as Error & { code?: unknown }).code === "string") return error.message;
  throw error;
}

/** Makes a folder, if it is not there; throws a {@linkcode FlagError} if it cannot be. */
export async function makeFolder(flag: string, path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true });
  } catch (error) {
    throw new FlagError(`--${flag}: the folder ${path} cannot be made: ${explainFileError(error)}`);
  }
}

/** Makes the folder of a file that is written later; throws a {@linkcode FlagError} if it cannot be, or the file is a folder. */
export async function makeFolderOf(flag: string, path: string): Promise<void> {
  await makeFolder(flag, dirname(resolve(path)));
  try {
    if ((await Deno.stat(path)).isDirectory) throw new FlagError(`--${flag} must be a file, got the folder ${path}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Writes beside the old file, then in its place: an interrupt leaves one of them. */
export async function replaceFile(path: string, data: Uint8Array | string): Promise<void> {
  const part = `${path}.part`;
  await (typeof data === "string" ? Deno.writeTextFile(part, data) : Deno.writeFile(part, data));
  await Deno.rename(part, path);
}

/** Writes a figure; empty, it says whether the file can be written at all. */
export async function writeFigure(path: string, svg = ""): Promise<void> {
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(path, svg);
  } catch (error) {
    throw new FlagError(`the figure cannot be written (${explainFileError(error)})`);
  }
}
