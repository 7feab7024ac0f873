/**
 * Prints a result of `deno bench --json` as tables: microseconds per step of time, ratios to each group's baseline, and where
 * the bytes are known GB/s, with the ratio to a copy of as many if there is one. What `examples/digits.ts --compare` kept, it
 * prints as that does.
 */
import { type Comparison, describeComparison } from "../examples/lib/compare_digits.ts";

interface Result {
  readonly runtime: string;
  readonly cpu: string;
  readonly benches: readonly {
    readonly group: string;
    readonly name: string;
    readonly baseline: boolean;
    readonly results: readonly { readonly ok?: { readonly avg: number; readonly min: number; readonly p75: number } }[];
  }[];
}

const [path] = Deno.args;
if (path === undefined) {
  console.error("Cannot report: give the file that `deno bench --json` wrote");
  Deno.exit(2);
}
const result: Result & Comparison = JSON.parse(await Deno.readTextFile(path));
console.log(`${result.runtime}, ${result.cpu}`);
if (result.trainings !== undefined) {
  console.log(describeComparison(result));
  Deno.exit();
}
for (const group of new Set(result.benches.map((bench) => bench.group))) {
  const benches = result.benches.filter((bench) => bench.group === group);
  const steps = Number(/T=(\d+)/.exec(group)?.[1] ?? 1);
  const baseline = benches.find((bench) => bench.baseline)?.results[0]?.ok?.min ?? NaN;
  // Groups of scans say how many bytes they must move at least.
  const bytes = Number(/bytes=(\d+)/.exec(group)?.[1] ?? NaN);
  const copy = benches.find(({ name, baseline }) => name === "copy of as many bytes" && !baseline)?.results[0]?.ok?.min;
  const rate = (ns: number): string =>
    (Number.isNaN(bytes) ? "" : ` ${(bytes / ns).toFixed(2)} |`) +
    (copy === undefined ? "" : ` ${(ns / copy).toFixed(2)} |`);
  const titles = [
    ...(Number.isNaN(bytes) ? [] : ["GB/s, best"]),
    ...(copy === undefined ? [] : ["best, times the copy's"]),
  ];
  const [title, rule] = [titles.map((text) => ` ${text} |`).join(""), "---|".repeat(titles.length)];
  console.log(
    `\n${group}\n\n| | µs per step, best | average | best, times the baseline's |${title}\n|---|---|---|---|${rule}`,
  );
  for (const { name, results } of benches) {
    const ok = results[0]?.ok;
    if (ok === undefined) continue;
    const [best, average] = [ok.min, ok.avg].map((ns) => (ns / steps / 1000).toFixed(3));
    console.log(`| ${name} | ${best} | ${average} | ${(ok.min / baseline).toFixed(2)} |${rate(ok.min)}`);
  }
}
