import { functionsOf } from "./functions.ts";
import { assembleKernel } from "./kernel.ts";
import { NONE, stateWord, STATUS } from "./sequence.ts";
import { floats, type TRUST, TRUST_PARAMS, trustBindings, type TrustKernel, trustWord } from "./trust.ts";

/** Invocations of a workgroup of the sums. */
export const SUM_LANES = 256;

/** Invocations of a workgroup of the rule. */
export const RULE_LANES = 64;

/** Parts of a sequence are at most this many: the rule adds their sums one after the other. */
export const MOST_PARTS = 256;

/** Squares of larger numbers may not be numbers. */
const LARGEST = "1e15";

const word = (k: number): string => `PARTS[((b * P.parts + part) * 3u) + ${k}u]`;

/**
 * Of each part of a sequence, over its rows that are not exact: the sums Σ |f - h|², Σ |f - F|², Σ |F - h|², F as the sweep
 * before predicted f. What is not finite counts as 0.
 *
 * A workgroup a part; 12 bytes and 9 operations a state; `state` words a row, rows of a part / 256 turns and a tree of 8.
 */
export function trustSums(state: number): TrustKernel {
  const arrays = [
    floats("F", "read"),
    floats("Y", "read"),
    floats("K", "read"),
    { name: "S", kind: "read", type: "array<u32>" } as const,
    floats("PARTS", "read_write"),
  ];
  const main = [
    "if (group >= P.batch * P.parts) { return; }",
    "let b = group / P.parts; let part = group % P.parts;",
    `let out = ${stateWord("status", "b")} != ${STATUS.running}u;`,
    `let first = max(part * P.partRows, ${stateWord("exact", "b")});`,
    "let last = select(min((part + 1u) * P.partRows, P.rows), 0u, out);",
    "var sums = vec3<f32>();",
    `for (var i = first * ${state}u + lane; i < last * ${state}u; i += ${SUM_LANES}u) {`,
    `let at = b * P.rows * ${state}u + i; let f = F[at]; let h = Y[at]; let expected = K[at];`,
    "let r = small(f - h); let n = small(f - expected); let p = small(expected - h);",
    "sums += vec3<f32>(r * r, n * n, p * p);",
    "}",
    "tree[lane] = sums;",
    `for (var half = ${SUM_LANES / 2}u; half > 0u; half /= 2u) {`,
    "workgroupBarrier();",
    "if (lane < half) {",
    "tree[lane] += tree[lane + half];",
    "}",
    "}",
    "workgroupBarrier();",
    `if (lane < 3u) { ${word(0).replace("0u]", "lane]")} = tree[0][lane]; }`,
  ];
  const kernel = assembleKernel({
    name: `trust sums ${state}`,
    header:
      `trust sums: what the damping is judged by, of each part of a sequence. A workgroup a part; 12 bytes and 9 operations
      a state.`,
    bindings: trustBindings(arrays),
    declarations: [
      TRUST_PARAMS,
      `var<workgroup> tree: array<vec3<f32>, ${SUM_LANES}>;`,
      ...functionsOf("isFinite("),
      `fn small(x: f32) -> f32 { return select(0.0, clamp(x, -${LARGEST}, ${LARGEST}), isFinite(x)); }`,
    ],
    workgroup: SUM_LANES,
    main,
  });
  return { ...kernel, arrays: arrays.map(({ name }) => name) };
}

/** The numbers of the rule, those of src/engine/trust.ts. */
export interface TrustRule {
  readonly beyond: number;
  readonly change: number;
  readonly least: number;
  readonly most: number;
}

const literal = (value: number): string => /[.e]/.test(String(value)) ? String(value) : `${value}.0`;

/**
 * The rule of src/engine/trust.ts: whether what this sweep began with is accepted, and λ of the next. A sweep that is refused
 * says nothing about convergence.
 *
 * An invocation a sequence; 12 bytes and 3 operations for each of its parts, 40 operations.
 */
export function trustWeigh({ beyond, change, least, most }: TrustRule): TrustKernel {
  const arrays = [
    floats("PARTS", "read"),
    { name: "S", kind: "read_write", type: "array<u32>" } as const,
    { name: "T", kind: "read_write", type: "array<u32>" } as const,
  ];
  const set = (field: keyof typeof TRUST, text: string): string => `${trustWord(field, "b")} = ${text};`;
  const main = [
    `let b = group * ${RULE_LANES}u + lane;`,
    "if (b >= P.batch) { return; }",
    `if (${stateWord("status", "b")} != ${STATUS.running}u) { return; }`,
    "var sums = vec3<f32>();",
    `for (var part = 0u; part < P.parts; part++) { sums += vec3<f32>(${[0, 1, 2].map(word).join(", ")}); }`,
    "let merit = sums.x; let nonlinear = sums.y; let predicted = sums.z;",
    // Infinity stands above all other bits.
    `let largest = bitcast<f32>(min(${stateWord("worst", "b")}, 0x7f7fffffu));`,
    `let before = bitcast<f32>(${trustWord("merit", "b")});`,
    `let compares = ${trustWord("compares", "b")} == 1u;`,
    `var damping = bitcast<f32>(${trustWord("damping", "b")});`,
    "let q = select(nonlinear / max(predicted + before, 1e-37), 0.0, nonlinear == 0.0);",
    `let refused = compares && q > ${literal(beyond)} && merit > before && largest > 1.0;`,
    "if (compares && !refused && largest > P.near) {",
    "let ratio = q / P.balance;",
    `let factor = clamp(select(ratio, sqrt(sqrt(ratio)), ratio < 1.0), ${literal(1 / change)}, ${literal(change)});`,
    `damping = clamp(damping * factor, ${literal(least)}, ${literal(most)});`,
    "}",
    "if (refused) {",
    `damping = min(damping * ${literal(change)}, ${literal(most)});`,
    `${stateWord("worst", "b")} = 0x7f800000u; ${stateWord("resets", "b")} = 1u;`,
    `} else { ${set("merit", "bitcast<u32>(merit)")} }`,
    set("damping", "bitcast<u32>(damping)"),
    set("compares", "select(1u, 0u, refused)"),
    set("refused", "select(0u, 1u, refused)"),
    set("parity", `1u - ${trustWord("parity", "b")}`),
  ];
  const kernel = assembleKernel({
    name: "trust weigh",
    header:
      `trust weigh: the damping of the next sweep, and whether this one counts. An invocation a sequence; 12 bytes and 3
      operations for each of its parts, 40 operations.`,
    bindings: trustBindings(arrays),
    declarations: [TRUST_PARAMS],
    workgroup: RULE_LANES,
    main,
  });
  return { ...kernel, arrays: arrays.map(({ name }) => name) };
}

/**
 * Of a sequence whose sweep was refused: all rows that are not exact become those of the iterate before the one that the sweep
 * began with. An invocation an element; 8 bytes, no operations.
 */
export function trustRestore(state: number): TrustKernel {
  const arrays = [
    floats("Y", "read_write"),
    floats("K", "read"),
    { name: "S", kind: "read", type: "array<u32>" } as const,
    { name: "T", kind: "read", type: "array<u32>" } as const,
  ];
  const main = [
    `let i = group * ${SUM_LANES}u + lane;`,
    `if (i >= P.batch * P.rows * ${state}u) { return; }`,
    `let b = i / (P.rows * ${state}u); let row = i / ${state}u - b * P.rows;`,
    `if (${stateWord("status", "b")} != ${STATUS.running}u || ${trustWord("refused", "b")} == 0u) { return; }`,
    `let changed = ${stateWord("changed", "b")};`,
    `if (changed != ${NONE}u && row > changed) { Y[i] = K[P.second * (1u + ${trustWord("parity", "b")}) + i]; }`,
  ];
  const kernel = assembleKernel({
    name: `trust restore ${state}`,
    header:
      `trust restore: the iterate before, where a sweep was refused. An invocation an element; 8 bytes, no operations.`,
    bindings: trustBindings(arrays),
    declarations: [TRUST_PARAMS],
    workgroup: SUM_LANES,
    main,
  });
  return { ...kernel, arrays: arrays.map(({ name }) => name) };
}
