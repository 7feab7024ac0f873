/** A stand-in for the part of `@std/path` that the tests use, for machines that cannot fetch it (see run.ts). */

import * as path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export { relative, resolve } from "node:path";

/** `file:///a/b` to `/a/b`. */
export function fromFileUrl(url: string | URL): string {
  return fileURLToPath(url);
}

/** `/a/b` to `file:///a/b`. */
export function toFileUrl(absolute: string): URL {
  return pathToFileURL(absolute);
}

/** All parts in one normalised path. */
export function join(first: string | URL, ...parts: string[]): string {
  return path.join(asPath(first), ...parts);
}

/** Everything before the last part. */
export function dirname(value: string | URL): string {
  return path.dirname(asPath(value));
}

/** The last part, without `suffix` if it ends so. */
export function basename(value: string | URL, suffix?: string): string {
  return path.basename(asPath(value), suffix);
}

/** The extension, with its dot. */
export function extname(value: string | URL): string {
  return path.extname(asPath(value));
}

function asPath(value: string | URL): string {
  return value instanceof URL ? fileURLToPath(value) : value;
}
