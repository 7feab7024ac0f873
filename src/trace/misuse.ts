import { TraceError } from "../core/errors.ts";

/** Where cervid's own code lives: frames from there are not the user's. */
const HOME = new URL("../", import.meta.url).href;

/** The innermost frame of the user's own code ("steps.ts:12:9"), or "" where stacks are not to be had (bundles). */
function userFrame(): string {
  for (const line of (new Error().stack ?? "").split("\n").slice(1)) {
    const place = /(\S+:\/\/\S+|\/\S+):(\d+):(\d+)\)?$/.exec(line);
    if (place === null) continue;
    const url = place[1]!.replace(/^\(/, "");
    if (url.startsWith(HOME) || url.startsWith(HOME.replace("file://", "")) || url.startsWith("ext:")) continue;
    return `${url.slice(url.lastIndexOf("/") + 1)}:${place[2]}:${place[3]}`;
  }
  return "";
}

/** A TraceError that names the traced function and the line of the user's code. */
export function misuse(traceName: string | undefined, problem: string, cure: string): TraceError {
  const where = userFrame();
  const subject = traceName === undefined ? "Cannot trace" : `Cannot trace "${traceName}"`;
  return new TraceError(`${subject}${where === "" ? "" : ` at ${where}`}: ${problem}; ${cure}`);
}
