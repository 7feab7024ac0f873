import { functionsOf } from "./functions.ts";
import { assembleKernel, type Kernel } from "./kernel.ts";
import { NONE, type STATE, stateWord, STATUS } from "./sequence.ts";

/**
 * - `enter`: a window begins: who was not solved in the one before stays unsolved, all others run
 * - `begin`: the guess is there: it limits the iterates
 * - `judge`: a sweep ended: who is solved
 * - `conclude`: a pass without sweeps ended
 * - `abandon`: a window ended whose rows are to be trusted unseen: who is running has failed
 * - `measured`: an error scan ended
 */
export type VerdictMode = "enter" | "begin" | "judge" | "conclude" | "abandon" | "measured";

/** Words before the residuals: sweeps done, and sequences that failed so far. */
export const HEAD_WORDS = 4;

/** Invocations, all of one workgroup: they decide together whether anything is left to do. */
export const VERDICT_LANES = 256;

/** The uniform of the verdict. `grids` counts those that run while any sequence does; those after them, while any failed. */
export const RULE = `struct Rule {
  batch: u32, rows: u32, t0: u32, grids: u32, failureGrids: u32, affine: u32, newton: u32, padding: u32,
  floor: f32, share: f32, epsilon: f32, huge: f32,
};`;

/** Numbers of {@linkcode RULE}. */
export interface RuleNumbers {
  readonly batch: number;
  readonly rows: number;
  readonly t0: number;
  readonly grids: number;
  readonly failureGrids: number;
  readonly affine: boolean;
  readonly newton: boolean;
  readonly floor: number;
  readonly share: number;
  readonly epsilon: number;
  readonly huge: number;
}

/** Words of {@linkcode RULE}. */
export function packRule(rule: RuleNumbers): Uint32Array {
  const { batch, rows, t0, grids, failureGrids, affine, newton } = rule;
  const words = new Uint32Array([batch, rows, t0, grids, failureGrids, Number(affine), Number(newton), 0, 0, 0, 0, 0]);
  const floats = new Float32Array([rule.floor, rule.share, rule.epsilon, rule.huge]);
  words.set(new Uint32Array(floats.buffer), 8);
  return words;
}

const word = (field: keyof typeof STATE): string => stateWord(field, "b");
const float = (field: keyof typeof STATE): string => `bitcast<f32>(${word(field)})`;
const set = (field: keyof typeof STATE, text: string): string => `${word(field)} = ${text};`;

const FRESH = [
  set("worst", "0u"),
  set("resets", "0u"),
  set("changed", `${NONE}u`),
  set("lost", `${NONE}u`),
  set("bad", `${NONE}u`),
];

/** What each mode does with sequence `b`; `status` is its own. */
const BODIES: Readonly<Record<VerdictMode, readonly string[]>> = {
  enter: [
    `if (R.t0 > 0u && status == ${STATUS.running}u) { status = ${STATUS.maxSweeps}u; }`,
    `if (status == ${STATUS.converged}u) { status = ${STATUS.running}u; }`,
    `if (status == ${STATUS.running}u) { ${set("unsolvedFrom", "R.t0")} }`,
    set("exact", "0u"),
    set("count", "0u"),
    set("largest", "0u"),
    ...FRESH,
  ],
  begin: [set("limit", `bitcast<u32>(R.huge * clamp(${float("largest")}, 1.0, R.huge))`)],
  // The rule of src/engine/verdict.ts. A ratio below 0 stands for none.
  judge: [
    `if (status == ${STATUS.running}u) {`,
    `let e = ${float("worst")};`,
    `let finite = isFinite(e);`,
    set("sweeps", `${word("sweeps")} + 1u`),
    `let bad = ${word("bad")};`,
    `if (bad != ${NONE}u) {`,
    `status = ${STATUS.nonfinite}u;`,
    set("failed", "R.t0 + bad"),
    "worst = 0x7f800000u;",
    "} else {",
    `worst = max(worst, ${word("worst")});`,
    `let changed = ${word("changed")};`,
    `let exact = select(min(changed + 1u, R.rows), R.rows, changed == ${NONE}u);`,
    set("exact", "exact"),
    "let remaining = f32(R.rows - exact);",
    `let last = ${float("last")};`,
    "var ratio = -1.0;",
    `if (${word("count")} > 0u && finite && isFinite(last) && last > 0.0) { ratio = e / last; }`,
    `var before = select(${float("ratio")}, -1.0, ${word("count")} == 0u);`,
    "if (before < 0.0 && R.newton == 1u) { before = ratio; }",
    "let slower = max(ratio, before);",
    "var updates = remaining;",
    "if (min(ratio, before) >= 0.0 && slower < 1.0) { updates = min(slower / (1.0 - slower), remaining); }",
    "let rounded = e <= R.floor || (R.affine == 1u && e * R.epsilon <= 1.0);",
    "let small = e <= 1.0 && e * updates <= R.share;",
    set("count", `${word("count")} + 1u`),
    set("last", word("worst")),
    set("ratio", "bitcast<u32>(ratio)"),
    "let enough = finite && (rounded || small);",
    `let lost = ${word("lost")};`,
    `if (exact >= R.rows || (enough && ${word("resets")} == 0u)) { status = ${STATUS.converged}u; }`,
    // All is settled but for what follows from a row at which f is not finite.
    `else if (enough && lost != ${NONE}u) {`,
    `status = ${STATUS.nonfinite}u;`,
    set("failed", "R.t0 + lost"),
    "worst = 0x7f800000u;",
    "}",
    "}",
    ...FRESH,
    "judged = 1u;",
    "}",
  ],
  conclude: [
    `if (status == ${STATUS.running}u) {`,
    `let bad = ${word("bad")};`,
    `status = select(${STATUS.nonfinite}u, ${STATUS.converged}u, bad == ${NONE}u);`,
    set("failed", "R.t0 + bad"),
    ...FRESH,
    "}",
  ],
  abandon: [`if (status == ${STATUS.running}u) { status = ${STATUS.maxSweeps}u; }`],
  measured: [`if (${word("resets")} != 0u) { ${set("error", "0x7f800000u")} }`, ...FRESH],
};

/**
 * Decides, per sequence, how a solve goes on, and with that what the next dispatches do: the arguments of all kernels of a
 * sweep become 0 when no sequence is running. So a solve records all its sweeps ahead and waits for none.
 *
 * One workgroup for all sequences: ceil(B / 256) turns; about 100 bytes and 40 operations a sequence. Bindings: the rule,
 * the state of the sequences, head and residuals, the arguments, and the workgroups that they have while there is work.
 */
export function emitVerdict(mode: VerdictMode): Kernel {
  const main = [
    "var worst = 0u; var judged = 0u; var running = 0u; var failed = 0u;",
    `for (var b = lane; b < R.batch; b += ${VERDICT_LANES}u) {`,
    `var status = ${word("status")};`,
    ...BODIES[mode],
    set("status", "status"),
    `running |= u32(status == ${STATUS.running}u);`,
    `failed |= u32(status >= ${STATUS.maxSweeps}u);`,
    "}",
    "atomicMax(&seen[0], worst); atomicOr(&seen[1], judged); atomicOr(&seen[2], running); atomicOr(&seen[3], failed);",
    "workgroupBarrier();",
    "if (lane == 0u && atomicLoad(&seen[1]) == 1u) {",
    `H[${HEAD_WORDS}u + H[0]] = atomicLoad(&seen[0]);`,
    "H[0] = H[0] + 1u;",
    "}",
    "let anyRunning = atomicLoad(&seen[2]); let anyFailed = atomicLoad(&seen[3]);",
    `for (var i = lane; i < 3u * (R.grids + R.failureGrids); i += ${VERDICT_LANES}u) {`,
    "ARGS[i] = GRIDS[i] * select(anyFailed, anyRunning, i < 3u * R.grids);",
    "}",
  ];
  return assembleKernel({
    name: `verdict ${mode}`,
    header: `verdict ${mode}: the state of every sequence after a step of its solve, and the grids of what follows.
      One workgroup; 100 bytes and 40 operations a sequence; ceil(B / 256) turns.`,
    bindings: [
      { name: "R", kind: "uniform", type: "Rule" },
      { name: "S", kind: "read_write", type: "array<u32>" },
      { name: "H", kind: "read_write", type: "array<u32>" },
      { name: "ARGS", kind: "read_write", type: "array<u32>" },
      { name: "GRIDS", kind: "read", type: "array<u32>" },
    ],
    declarations: [RULE, "var<workgroup> seen: array<atomic<u32>, 4>;", ...functionsOf(main.join("\n"))],
    workgroup: VERDICT_LANES,
    main,
  });
}
