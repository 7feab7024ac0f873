/**
 * `deno task check`: every check that is not a test. All steps run, whatever fails, and the end says which did.
 */

import config from "../deno.json" with { type: "json" };

const STEPS: [name: string, ...args: string[]][] = [
  ["format", "fmt", "--check"],
  ["lint", "lint"],
  ["types", "run", "-A", "tests/std/run.ts", "check"],
  // As those see them who import the sources without this project's options.
  ["types by default", "check", "--config", ".ci/consumer.json", "mod.ts"],
  ["docs", "doc", "--lint", ...Object.values(config.exports)],
  ["publish dry run", "publish", "--dry-run", "--allow-dirty"],
];

const cwd = new URL("..", import.meta.url);
const verdicts: string[] = [];
for (const [name, ...args] of STEPS) {
  console.log(`\n==> ${name}: deno ${args.join(" ")}`);
  const start = performance.now();
  const { success } = await new Deno.Command(Deno.execPath(), { args, cwd }).spawn().status;
  verdicts.push(`${success ? "ok    " : "FAILED"} ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
}
console.log(`\n${verdicts.join("\n")}`);
Deno.exit(verdicts.some((verdict) => verdict.startsWith("FAILED")) ? 1 : 0);
