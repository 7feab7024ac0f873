import { assertEquals } from "@std/assert";

/** The folder of the examples. */
export const EXAMPLES: URL = new URL("../../examples/", import.meta.url);

/** What a process left. */
export interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs an example as its users do. */
export function runExample(name: string, ...flags: string[]): Promise<Run> {
  return runExampleIn(Deno.cwd(), name, ...flags);
}

/** The same in a folder, which relative paths are of. */
export async function runExampleIn(cwd: string, name: string, ...flags: string[]): Promise<Run> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-remote", new URL(name, EXAMPLES).href, ...flags],
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** The result of a run with `--json`. */
export async function runJson(name: string, ...flags: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await runExample(name, "--backend", "cpu", "--json", ...flags);
  assertEquals([code, stderr], [0, ""], `${name} ${flags.join(" ")}`);
  return JSON.parse(stdout);
}

/** Lends a folder for the time of a test. */
export async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "cervid-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A point of a curve. */
export interface Point {
  readonly step: number;
  readonly loss: number;
  readonly sweeps: number;
  readonly accuracy: number;
}

/** Records of a file of events: lengths and checksums of 16 bytes around each. */
export async function countEvents(path: string): Promise<number> {
  const events = await Deno.readFile(path);
  const view = new DataView(events.buffer);
  let records = 0;
  for (let at = 0; at < events.length; records++) at += 16 + Number(view.getBigUint64(at, true));
  return records;
}
