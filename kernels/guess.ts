import { functionsOf } from "./functions.ts";
import { assembleKernel, type Kernel } from "./kernel.ts";
import { stateWord, STATUS } from "./sequence.ts";
import { INFO } from "./traced.ts";

/** Words of a workgroup. */
export const GUESS_LANES = 256;

/**
 * Makes a guess finite, and the first iterate of it: zeros, the start state in every row, or what the buffer holds. Leaves
 * the largest entry of each sequence.
 *
 * One invocation an element; 12 bytes and 6 operations each. Bindings: numbers, start states, guess, iterate, state of the
 * sequences.
 */
export function emitGuess(source: "zeros" | "start" | "buffer", state: number): Kernel {
  const value = { zeros: "0.0", start: `START[b * ${state}u + i % ${state}u]`, buffer: "GUESS[i]" }[source];
  const largest = stateWord("largest", "b");
  const main = [
    `let words = P.rows * ${state}u; let i = group * ${GUESS_LANES}u + lane;`,
    "if (i >= P.batch * words) { return; }",
    "let b = i / words;",
    `if (atomicLoad(&${stateWord("status", "b")}) != ${STATUS.running}u) { return; }`,
    `var value = ${value};`,
    "if (!isFinite(value)) { value = 0.0; }",
    "GUESS[i] = value; Y[i] = value;",
    "let size = bitcast<u32>(abs(value));",
    `if (size > atomicLoad(&${largest})) { atomicMax(&${largest}, size); }`,
  ];
  return assembleKernel({
    name: `guess ${source} ${state}`,
    header: `guess ${source}: a finite guess and the first iterate. One invocation an element, 12 bytes, 6 operations.`,
    bindings: [
      { name: "P", kind: "uniform", type: "Info" },
      { name: "START", kind: "read", type: "array<f32>" },
      { name: "GUESS", kind: "read_write", type: "array<f32>" },
      { name: "Y", kind: "read_write", type: "array<f32>" },
      { name: "S", kind: "read_write", type: "array<atomic<u32>>" },
    ],
    declarations: [INFO, ...functionsOf(main.join("\n"))],
    workgroup: GUESS_LANES,
    main,
  });
}

/**
 * NaN where there is no answer: from the first step that is not finite on, and in windows after one that was not solved.
 *
 * One invocation an element; 4 bytes each where a sequence failed, none elsewhere. Bindings: numbers, state of the
 * sequences, iterate as words.
 */
export function emitBlank(state: number): Kernel {
  return assembleKernel({
    name: `blank ${state}`,
    header: "blank: NaN where there is no answer. One invocation an element, 4 bytes.",
    bindings: [
      { name: "P", kind: "uniform", type: "Info" },
      { name: "S", kind: "read", type: "array<u32>" },
      { name: "Y", kind: "read_write", type: "array<u32>" },
    ],
    declarations: [INFO],
    workgroup: GUESS_LANES,
    main: [
      `let words = P.rows * ${state}u; let i = group * ${GUESS_LANES}u + lane;`,
      "if (i >= P.batch * words) { return; }",
      `let b = i / words; let status = ${stateWord("status", "b")};`,
      `let t = P.t0 + (i % words) / ${state}u;`,
      `let missing = status == ${STATUS.nonfinite}u && t >= ${stateWord("failed", "b")};`,
      `if (missing || status == ${STATUS.maxSweeps}u) { Y[i] = 0x7fc00000u; }`,
    ],
  });
}
