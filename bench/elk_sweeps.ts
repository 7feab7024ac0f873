/**
 * The unstable recurrences that ELK and DEER were published with (arXiv 2407.19115): the sweeps of the originals beside cervid's.
 * A trained autoregressive GRU over 9999 steps and Lorenz 96 over 1000, by variance of the iterate σ² = 1/λ; five trained GRU
 * layers, the last of which broke DEER, by every method and on both engines. One thread, one sequence: the sequential method,
 * timed beside, is faster throughout. Takes some minutes.
 *
 *     deno run -A bench/elk_sweeps.ts bench/results/elk_sweeps_MACHINE.json
 */
import {
  deer,
  type Device,
  elk,
  type GuessChoice,
  type HostTensor,
  type Method,
  openDevice,
  type Problem,
  quasiDeer,
  quasiElk,
  readSafetensors,
  solve,
  type Step,
  toHost,
} from "@cervid/cervid";
import { AR_GRU, readArGru } from "../examples/lib/ar_gru.ts";
import { LORENZ_96, lorenzProblem } from "../examples/lib/lorenz96.ts";
import { formatMs, formatSmall, formatTable } from "../examples/lib/table.ts";
import { countSweeps, timeSequential } from "./count_sweeps.ts";
import { AR_GRU_SWEEPS, LORENZ_SWEEPS, type Published, type PublishedSweeps } from "./peers/published_elk.ts";
import { solveWhale, type WhaleRow } from "./whale_layers.ts";

/** One method on one recurrence. */
interface Row {
  readonly case: string;
  readonly sequence: number;
  readonly method: string;
  readonly variance: number | "adaptive" | null;
  readonly guess: GuessChoice;
  /** Of others, to a mean deviation of 0.1; null where it was not reached, "nan" where it ended so, absent where unknown. */
  readonly published?: readonly number[] | null | "nan";
  readonly near: number | null;
  readonly sweeps: number;
  readonly result: string;
  readonly ms: number;
  readonly sequentialMs: number;
  readonly deviation: number | null;
}

interface Case {
  readonly name: string;
  readonly step: Step;
  readonly problems: readonly Problem[];
  readonly time: number;
  readonly compared: number;
  readonly published: Published;
}

/** Sweeps that are allowed where others needed so many, and where they needed too many. */
const allow = (published: number): number => Math.max(1.5 * published, published + 100);
const HOPELESS = 800;

/** The fewest sweeps that others needed at any variance. */
const bestOf = (table: readonly PublishedSweeps[]): number =>
  Math.min(...table.map(({ near }) => near instanceof Array ? near[1] : Infinity));

async function measure(device: Device, { name, step, problems, time, compared, published }: Case): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [sequence, problem] of problems.entries()) {
    using answer = await solve(step, problem, { device, method: "sequential" });
    const exact = (await toHost(answer.ys)).data;
    const sequentialMs = await timeSequential(device, step, problem);
    const add = async (
      method: Method,
      variance: Row["variance"],
      others: Row["published"],
      guess: "f0" | "zeros" = "f0",
    ): Promise<void> => {
      const best = bestOf(method.name === "elk" ? published.elk : published.quasiElk);
      const most = others === undefined ? 3 * best : others instanceof Array ? allow(others.at(-1)!) : HOPELESS;
      const maxSweeps = Math.min(time, Math.ceil(most));
      const counted = await countSweeps(device, step, problem, { method, guess, maxSweeps, exact, compared });
      const known = others === undefined ? {} : { published: others };
      const row = { case: name, sequence, method: method.name, variance, guess, ...known, ...counted, sequentialMs };
      rows.push(row);
      console.error(describeRow(row).join("  "));
    };
    for (const guess of ["zeros", "f0"] as const) await add(elk(), "adaptive", undefined, guess);
    await add(quasiElk(), "adaptive", undefined);
    for (const guess of sequence === 0 ? ["zeros", "f0"] as const : []) {
      await add(deer(), null, published.deer, guess);
      await add(quasiDeer(), null, published.quasiDeer, guess);
    }
    for (const [make, table] of [[elk, published.elk], [quasiElk, published.quasiElk]] as const) {
      for (const { variance, near } of table) {
        if (near === null && sequence > 0) continue;
        await add(make({ damping: 1 / variance }), variance, near);
      }
    }
  }
  return rows;
}

async function readProblems(): Promise<Problem[]> {
  const golden = new URL("../tests/golden/elk/argru.safetensors", import.meta.url);
  const { tensors } = readSafetensors(await Deno.readFile(golden));
  const params = await readArGru();
  return [0, 1, 2, 3].map((seed) => {
    const noise = tensors[`noise${seed}`]!.data.slice(1);
    return { params, xs: { data: noise, shape: [noise.length, 1] }, h0: tensors[`start${seed}`]! as HostTensor };
  });
}

function describeRow(row: Row): string[] {
  const { published, near, sweeps, result, ms, sequentialMs, deviation } = row;
  const variance = row.variance === null
    ? ""
    : typeof row.variance === "string"
    ? row.variance
    : row.variance.toExponential(0);
  const others = published === undefined
    ? ""
    : published === null
    ? "no"
    : published === "nan"
    ? "NaN"
    : [...new Set(published)].join(" to ");
  return [
    row.case,
    String(row.sequence),
    row.method,
    variance,
    String(row.guess),
    others,
    near === null ? "-" : String(near),
    `${result === "successful" ? "" : "> "}${sweeps}`,
    deviation === null ? "not finite" : formatSmall(deviation),
    formatMs(ms),
    (ms / sequentialMs).toFixed(0),
  ];
}

function describe(rows: readonly Row[], whale: readonly WhaleRow[]): string {
  const titles = [
    "case",
    "sequence",
    "method",
    "σ²",
    "guess",
    "published",
    "near",
    "sweeps",
    "deviation",
    "ms",
    "times sequential",
  ];
  const layers = [
    "engine",
    "layer",
    "method",
    "T",
    "B",
    "published",
    "sweeps",
    "error",
    "ms",
    "sequential ms",
    "refused or failed",
  ];
  return [
    "Sweeps to a mean deviation of 0.1 (published, near), to convergence (sweeps; > where it was cut off), and the mean deviation then",
    "",
    formatTable(
      titles.map((title) => ({ title, left: title === "method" || title === "case" })),
      rows.map(describeRow),
    ),
    "",
    "Five GRU layers of whale calls: sweeps of each call, and the largest error",
    "",
    formatTable(
      layers.map((title) => ({
        title,
        left: title === "engine" || title === "method" || title === "refused or failed",
      })),
      whale.map(({ engine, layer, method, time, published, sweeps, error, ms, sequentialMs, failure }) => [
        engine,
        String(layer),
        method,
        String(time),
        String(sweeps.length),
        published?.join(" ") ?? "",
        sweeps.join(" "),
        error === null ? "-" : formatSmall(error),
        formatMs(ms),
        formatMs(sequentialMs),
        failure ?? "",
      ]),
    ),
  ].join("\n");
}

const [path] = Deno.args;
if (path === undefined) {
  console.error("Cannot count sweeps: give the file that results go to");
  Deno.exit(2);
}
await using device = await openDevice({ backend: "cpu", dtype: "f32" });
const cases: Case[] = [
  {
    name: "AR-GRU",
    step: AR_GRU,
    problems: await readProblems(),
    time: 9999,
    compared: 1,
    published: AR_GRU_SWEEPS,
  },
  {
    name: "Lorenz 96",
    step: LORENZ_96,
    problems: await Promise.all([1, 2, 3, 4].map((seed) => lorenzProblem(device, { time: 1000, seed }))),
    time: 1000,
    compared: 5,
    published: LORENZ_SWEEPS,
  },
];
const rows: Row[] = [];
for (const one of cases) rows.push(...await measure(device, one));
const whale = await solveWhale();
const cpu = device.description;
await Deno.writeTextFile(
  path,
  JSON.stringify({ version: 1, runtime: `Deno/${Deno.version.deno}`, cpu, rows, whale }, null, 2) + "\n",
);
console.log(describe(rows, whale));
