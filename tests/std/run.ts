/**
 * `deno run -A tests/std/run.ts <subcommand> [arguments]` runs `deno <subcommand> [arguments]`.
 *
 * Where `@std/*` can be fetched or is cached, nothing else happens. Where it cannot, an import map takes the place of the
 * one in deno.json: the same entries, with `@std/*` pointing at the stand-ins beside this file.
 *
 * Mesa's software driver now and then aborts a process at its exit ("double free"), after every test of it has ended. The
 * report of `deno test` is then complete, and it decides.
 */

import { isPassed } from "./report.ts";
import config from "../../deno.json" with { type: "json" };

const STAND_INS = new Map([
  ["@std/assert", new URL("./assert.ts", import.meta.url).href],
  ["@std/path", new URL("./path.ts", import.meta.url).href],
]);
const PROBE_TIMEOUT_MS = 10_000;

async function canFetchStd(): Promise<boolean> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["cache", "--quiet", ...[...STAND_INS.keys()].map((name) => import.meta.resolve(name))],
    stdin: "null",
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
  }).output();
  return success;
}

function standInImportMap(): string {
  const root = new URL("../../deno.json", import.meta.url);
  const imports = Object.fromEntries(
    Object.entries(config.imports).map(([name, target]) => [name, STAND_INS.get(name) ?? new URL(target, root).href]),
  );
  return `data:application/json,${encodeURIComponent(JSON.stringify({ imports }))}`;
}

const [subcommand, ...rest] = Deno.args;
if (subcommand === undefined) {
  console.error("Cannot run deno: a subcommand is expected, such as test or check");
  Deno.exit(2);
}
const flags: string[] = [];
if (!await canFetchStd()) {
  console.error("Cannot fetch @std/assert and @std/path: using the stand-ins in tests/std/");
  flags.push(`--import-map=${standInImportMap()}`);
}
const report = subcommand === "test" ? await Deno.makeTempFile({ suffix: ".xml" }) : undefined;
if (report !== undefined) flags.push(`--junit-path=${report}`);
const args = [subcommand, ...flags, ...rest];
const { code, signal } = await new Deno.Command(Deno.execPath(), { args }).spawn().status;
let verdict = code;
if (report !== undefined) {
  if (signal === "SIGABRT" && isPassed(await Deno.readTextFile(report))) {
    console.error("The driver aborted the process at its exit, after all tests had passed");
    verdict = 0;
  }
  await Deno.remove(report);
}
Deno.exit(verdict);
