import { functionsOf } from "./functions.ts";
import { assembleKernel, type Kernel, type KernelParts } from "./kernel.ts";

/** Invocations of a workgroup, each with a chunk of its own. */
export const OPERATOR_LANES = 64;
/** Zero, which compilers cannot know: they would unroll loops of known length, and take minutes over some. */
export const OPERATOR_ZERO = "zero";

/** One array of an element. */
export interface OperatorLeaf {
  readonly size: number;
  /** Its first word in an element as a whole. */
  readonly first: number;
  /** Its first word in the array `E`, where the prefix is kept; null: in names, see {@linkcode prefixName}. */
  readonly kept: number | null;
}

/** A printed operator: it sees `C`, the prefix, and the element of the row; its last statements replace the prefix. */
export interface OperatorCode {
  /** From parameters alone: once an invocation. */
  readonly ahead: readonly string[];
  readonly combine: readonly string[];
  /** Words of its scratch `W`. */
  readonly scratch: number;
  readonly aheadTurns: number;
  readonly combineTurns: number;
  /** Whether it reads parameters or constants. */
  readonly constants: boolean;
}

/** One kernel of a scan with an operator. */
export interface OperatorSpec {
  readonly name: string;
  readonly phase: "reduce" | "apply";
  /** `arrays`: an array for each leaf, and others for the answers. `packed`: one array of whole elements, in place. */
  readonly source: "arrays" | "packed";
  readonly leaves: readonly OperatorLeaf[];
  readonly code: OperatorCode;
}

/** The name of element i of leaf k of the prefix. */
export function prefixName(k: number, i: number): string {
  return `s${k}_${i}`;
}

/** An array, the text of a word in it, and how many words after it something begins. */
export type Words = readonly [array: string, base: string, first: number];

/** WGSL of where leaf k of the row's element begins. */
export function laterAt(source: OperatorSpec["source"], k: number, { first }: OperatorLeaf): Words {
  return source === "arrays" ? [`I${k}`, `i${k}`, 0] : ["V", "v", first];
}

/** Turns of all loops for each row, and beside the rows; the test that ends a loop is one. */
export function operatorTurns({ leaves, code }: Pick<OperatorSpec, "leaves" | "code">): { row: number; fixed: number } {
  const copy = leaves.reduce((sum, { size, kept }) => sum + (kept === null ? 0 : size + 1), 0);
  return { row: 1 + code.combineTurns + copy, fixed: 2 + code.aheadTurns + 3 * copy };
}

/** Words of the array that keeps long leaves of the prefix. */
export function keptWords(leaves: readonly OperatorLeaf[]): number {
  return leaves.reduce((sum, { size, kept }) => sum + (kept === null ? 0 : size), 0);
}

const elementWords = (leaves: readonly OperatorLeaf[]): number => leaves.reduce((sum, { size }) => sum + size, 0);

/** Copies every leaf between the prefix and memory. */
function eachLeaf(
  leaves: readonly OperatorLeaf[],
  at: (k: number, leaf: OperatorLeaf) => Words,
  text: (prefix: string, memory: string) => string,
): string[] {
  return leaves.flatMap((leaf, k) => {
    const [array, base, first] = at(k, leaf);
    const { size, kept } = leaf;
    if (kept === null) {
      return Array.from({ length: size }, (_, i) => text(prefixName(k, i), `${array}[${base} + ${first + i}u]`));
    }
    const body = text(`E[${kept}u + i]`, `${array}[${base} + ${first}u + i]`);
    return [`for (var i = ${OPERATOR_ZERO}; i < ${size}u; i++) { ${body} }`];
  });
}

const load = (prefix: string, memory: string): string => `${prefix} = ${memory};`;
const store = (prefix: string, memory: string): string => `${memory} = ${prefix};`;

/** Statements that find the row r: `i0, ...` and `o0, ...`, or `v`. */
function locate({ phase, source, leaves }: OperatorSpec): string[] {
  const row = "let n = b * P.rows + select(r, P.rows - 1u - r, P.reverse != 0u);";
  if (source === "packed") return [row, `let v = P.in0 + n * ${elementWords(leaves)}u;`];
  return [
    row,
    ...leaves.map(({ size }, k) => `let i${k} = P.in${k} + n * ${size}u;`),
    ...(phase === "apply" ? leaves.map(({ size }, k) => `let o${k} = P.out${k} + n * ${size}u;`) : []),
  ];
}

function mainOf(spec: OperatorSpec): string[] {
  const { phase, source, leaves, code } = spec;
  const words = elementWords(leaves);
  const names = leaves.flatMap(({ size, kept }, k) =>
    kept === null ? Array.from({ length: size }, (_, i) => prefixName(k, i)) : []
  );
  const write = phase === "reduce" ? [] : eachLeaf(
    leaves,
    (k, { first }) => source === "arrays" ? [`O${k}`, `o${k}`, 0] : ["V", "v", first],
    store,
  );
  const read = eachLeaf(leaves, (k, leaf) => laterAt(source, k, leaf), load);
  const [given, at] = phase === "reduce"
    ? ["(c == 0u) & (P.carried != 0u)", "P.carryBase"]
    : ["(c > 0u) | (P.carried != 0u)", `select(P.carryBase, (index - 1u) * ${words}u, c > 0u)`];
  return [
    `let ${OPERATOR_ZERO} = P.reverse >> 1u;`,
    `let index = group * ${OPERATOR_LANES}u + lane;`,
    "if (index >= P.batch * P.chunks) { return; }",
    "let b = index / P.chunks; let c = index % P.chunks;",
    "var r = c * P.chunkRows; let last = min(r + P.chunkRows, P.rows);",
    ...code.ahead,
    ...names.map((name) => `var ${name} = 0.0;`),
    `if (${given}) {`,
    `let a = ${at};`,
    ...eachLeaf(leaves, (_, { first }) => ["AGG", "a", first], load),
    "} else {",
    ...locate(spec),
    ...read,
    ...write,
    "r++;",
    "}",
    "for (; r < last; r++) {",
    ...locate(spec),
    ...code.combine,
    ...write,
    "}",
    ...(phase === "apply" ? [] : [
      `let a = index * ${words}u;`,
      ...eachLeaf(leaves, (_, { first }) => ["AGG", "a", first], store),
    ]),
  ];
}

const PARAMETERS = ["batch", "rows", "chunks", "chunkRows", "reverse", "carried", "carryBase"] as const;

/** The uniform: rows and chunks of a sequence, and the words at which arrays begin in their bindings. */
export interface OperatorParams extends Readonly<Record<(typeof PARAMETERS)[number], number>> {
  readonly inBases: readonly number[];
  readonly outBases: readonly number[];
}

/** The words of the uniform. */
export function packOperatorParams(spec: Pick<OperatorSpec, "leaves" | "source">, params: OperatorParams): Uint32Array {
  const { inBases, outBases } = params;
  const bases = spec.source === "arrays" ? spec.leaves.map((_, k) => outBases[k] ?? 0) : [];
  return Uint32Array.of(...PARAMETERS.map((name) => params[name]), ...inBases, ...bases);
}

/** The arrays of a kernel, by name, in the order of its bindings after the uniform. */
export function operatorArrays({ phase, source, leaves, code }: OperatorSpec): KernelParts["bindings"] {
  const floats = (name: string, kind: "read" | "read_write") => ({ name, kind, type: "array<f32>" }) as const;
  const applies = phase === "apply";
  return [
    ...(code.constants ? [floats("C", "read")] : []),
    ...(source === "packed"
      ? [floats("V", applies ? "read_write" : "read")]
      : leaves.map((_, k) => floats(`I${k}`, "read"))),
    ...(source === "arrays" && applies ? leaves.map((_, k) => floats(`O${k}`, "read_write")) : []),
    floats("AGG", applies ? "read" : "read_write"),
  ];
}

/**
 * The inclusive scan with an operator, in three phases: reduce folds each chunk of rows to one element in AGG; those are
 * scanned by the same kernels, packed and in place; apply folds each chunk again, from the prefix of the chunks before it.
 * An operator need not have a neutral element: a chunk without one before it begins with its first row.
 */
export function emitOperatorScan(spec: OperatorSpec): Kernel {
  const { name, phase, source, leaves, code } = spec;
  const main = mainOf(spec);
  const bytes = 4 * elementWords(leaves);
  const bases = leaves.flatMap((_, k) => source === "arrays" || k === 0 ? [`in${k}`] : []);
  const outs = source === "arrays" ? leaves.map((_, k) => `out${k}`) : [];
  const { row, fixed } = operatorTurns(spec);
  return assembleKernel({
    name: `operator ${name} ${phase} ${source}`,
    header: `operator ${name} ${phase} ${source}: the scan with an associative operator, one invocation a chunk.
      Bindings: numbers, parameters and constants (if any), ${
      source === "arrays" ? "the leaves of elements, in apply those of the answer" : "elements"
    }, aggregates and behind them the
      prefix before the first row. Bytes a row: ${phase === "reduce" ? bytes : 2 * bytes}; operations: one combination.
      Turns: ${row} a row and ${fixed} more. Limits: ${keptWords(leaves) + code.scratch} words of private memory.`,
    bindings: [{ name: "P", kind: "uniform", type: "Params" }, ...operatorArrays(spec)],
    declarations: [
      `struct Params { ${[...PARAMETERS, ...bases, ...outs].map((field) => `${field}: u32`).join(", ")} }`,
      `var<private> E: array<f32, ${Math.max(1, keptWords(leaves))}>;`,
      `var<private> W: array<f32, ${Math.max(1, code.scratch)}>;`,
      ...functionsOf(main.join("\n")),
    ],
    workgroup: OPERATOR_LANES,
    main,
  });
}
