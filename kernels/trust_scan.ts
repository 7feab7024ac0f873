import { functionsOf } from "./functions.ts";
import { assembleKernel, type KernelParts } from "./kernel.ts";
import { chunkWords, floats, TRUST_PARAMS, trustBindings, type TrustKernel, type TrustSpec } from "./trust.ts";
import { laneApply, laneReduce, laneSpine, laneUnit, MOST_LANE, TRUST_LANES } from "./trust_lane.ts";
import { DAMP } from "./trust_sink.ts";
import { tileApply, tileReduce, tileSpine } from "./trust_tile.ts";
import { MOST_TILE, tileLanes, tileTurns, tileUnit } from "./trust_tile_unit.ts";

/** The most states of a unit. */
export const MOST_TRUST: number = MOST_TILE;

/** Whether a unit is a workgroup's, not an invocation's. */
export function isTiled({ size }: TrustSpec): boolean {
  return size > MOST_LANE;
}

/** Turns of all loops of an invocation beside those of rows and chunks. */
export const FIXED_TURNS = 40;

/** Turns of all loops of an invocation, for each row of a chunk, and of the spine for each chunk. */
export function trustTurns(spec: TrustSpec): { readonly row: number; readonly chunk: number } {
  if (isTiled(spec)) return tileTurns(spec.size);
  const { turns } = laneUnit(spec);
  return { row: 1 + turns, chunk: 2 + 2 * turns };
}

/** Workgroups for so many units, each with a chunk, or of the spine with all of them. */
export function trustGroups(spec: TrustSpec, units: number): number {
  return isTiled(spec) ? units : Math.ceil(units / TRUST_LANES);
}

/** Bytes and operations for each state of a row, and for a chunk. */
export function trustCosts({ size: n, adaptive }: Pick<TrustSpec, "size" | "adaptive">): {
  readonly reduce: { readonly bytes: number; readonly operations: number };
  readonly apply: { readonly bytes: number; readonly operations: number };
  readonly chunkBytes: number;
} {
  const kept = adaptive ? 8 : 0;
  const operations = n === 1
    ? [22, 14]
    : isTiled({ size: n } as TrustSpec)
    ? [14 * n * n, 8 * n * n]
    : [12 * n * n, 7 * n * n];
  return {
    reduce: { bytes: 4 * (2 + n), operations: operations[0]! },
    apply: { bytes: 4 * (3 + n) + kept, operations: operations[1]! },
    chunkBytes: 4 * chunkWords(n),
  };
}

function header(spec: TrustSpec): string {
  const { reduce, apply, chunkBytes } = trustCosts(spec);
  const n = spec.size;
  const owner = isTiled(spec) ? "workgroup" : "invocation";
  return `
delta[t] = Gamma[t] (r[t] + G[t] delta[t-1]) over units of ${spec.size} states, a Kalman filter with the iterate as observation.
One ${owner} per (sequence, chunk, unit), neighbours on neighbouring units.
reduce: each chunk as a function of the state before it: filtered mean A x + b of variance C, information eta, J about x
(Sarkka and Garcia-Fernandez 2021), to AGG. spine: mean and variance before each chunk, one ${owner} per (sequence, unit),
chunk after chunk. apply: the filter again from there, and what becomes of the iterate.
Bytes per state: reduce ${reduce.bytes}, apply ${apply.bytes}; ${chunkBytes} a chunk and unit. Operations per state: reduce
about ${reduce.operations}, apply ${apply.operations}; undamped they are ${2 * n * (n + 1)} and ${
    2 * n
  }, of as many bytes.`;
}

function assemble(
  spec: TrustSpec,
  phase: "reduce" | "spine" | "apply",
  arrays: KernelParts["bindings"],
  main: readonly string[],
  form = "",
): TrustKernel {
  const { size, layout, adaptive } = spec;
  const tiled = isTiled(spec);
  const { declarations } = tiled ? tileUnit(size) : laneUnit(spec);
  const own = phase === "apply" ? DAMP : ["var<private> resets: u32 = 0u;"];
  const kernel = assembleKernel({
    name: `trust ${phase} ${size} ${layout}${adaptive ? " adaptive" : ""}${form}`,
    header: header(spec),
    bindings: trustBindings(arrays),
    declarations: [
      TRUST_PARAMS,
      ...functionsOf([...own, ...declarations, ...main].join("\n")),
      ...own,
      ...(tiled && phase === "apply" ? ["var<workgroup> head: vec2<u32>;"] : []),
      ...declarations,
    ],
    workgroup: tiled ? tileLanes(size) : TRUST_LANES,
    main,
  });
  return { ...kernel, arrays: arrays.map(({ name }) => name) };
}

const WORDS = { name: "S", kind: "read", type: "array<u32>" } as const;
const RULE_WORDS = { name: "T", kind: "read", type: "array<u32>" } as const;

/** The map of each chunk. */
export function trustReduce(spec: TrustSpec): TrustKernel {
  const inputs = [floats("A", "read"), floats("F", "read"), floats("Y", "read")];
  const main = isTiled(spec) ? tileReduce(spec) : laneReduce(spec);
  return assemble(spec, "reduce", [...inputs, WORDS, RULE_WORDS, floats("AGG", "read_write")], main);
}

/** The state before each chunk. */
export function trustSpine(spec: TrustSpec): TrustKernel {
  const main = isTiled(spec) ? tileSpine(spec) : laneSpine(spec);
  return assemble(spec, "spine", [WORDS, floats("AGG", "read_write")], main);
}

/** The sweep, of one chunk or of several. */
export function trustApply(spec: TrustSpec, chunked: boolean): TrustKernel {
  const arrays = [
    floats("A", "read"),
    floats("F", "read"),
    floats("Y", "read_write"),
    { name: "S", kind: "read_write", type: "array<atomic<u32>>" } as const,
    floats("GUESS", "read"),
    RULE_WORDS,
    ...(spec.adaptive ? [floats("K", "read_write")] : []),
    ...(chunked ? [floats("AGG", "read")] : []),
  ];
  const main = isTiled(spec) ? tileApply(spec, chunked) : laneApply(spec, chunked);
  return assemble(spec, "apply", arrays, main, chunked ? "" : " single");
}
