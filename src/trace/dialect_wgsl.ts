import type { Dialect } from "./dialect.ts";
import { ELEMENTWISE } from "./elementwise.ts";
import { memory, type Place } from "./places.ts";

/** Where printed WGSL finds the constants that have no text of their own. */
export type PlaceConstant = (data: Float64Array) => Place;

/** Printed WGSL: its scratch `W`, and how often its loops turn. */
export interface WgslDialect extends Dialect {
  /** Turns of all loops printed so far that one invocation makes in one evaluation. */
  readonly turns: number;
}

/** How a workgroup evaluates a function together. */
export interface TileOptions {
  /** Rows (time steps) that are evaluated together, at most. The caller's variable `rows` says how many there are. */
  readonly rows: number;
  /** Invocations of the workgroup. */
  readonly lanes: number;
  /** Words of scratch of each row that belong to the caller, the first ones. */
  readonly reserved: number;
  /** Statements at the head of each loop body that locate a row by its number `row`. */
  readonly locate: readonly string[];
  /** Barriers that make scratch visible. */
  readonly barrier: string;
}

/** A float of WGSL; f32 has no infinity and no NaN in source text. */
function literal(value: number): string | null {
  const rounded = Math.fround(value);
  if (!Number.isFinite(rounded)) return null;
  const text = Object.is(rounded, -0) ? "-0" : String(rounded);
  const float = /[.e]/.test(text) ? text : `${text}.0`;
  return text.startsWith("-") ? `(${float})` : float;
}

const COMMON = {
  rowsAtOnce: () => 1,
  // Compilers add a counter to every loop: a turn must be worth it.
  columnsAtOnce: 8,
  literal,
  element: ((op, [a, b = "", c = ""]) => ELEMENTWISE[op].wgsl(a!, b, c)) as Dialect["element"],
  define: (name: string, text: string): string => `let ${name} = ${text};`,
  variable: (name: string, text: string): string => `var ${name} = ${text};`,
};

/** Counts turns of nested loops; the test that ends a loop counts as one, each time it is entered. */
function createCounter(): { total: number; within(count: number, emit: () => void): void } {
  let factor = 1;
  return {
    total: 0,
    within(count, emit) {
      const outer = factor;
      this.total += outer * (count + 1);
      factor *= count;
      emit();
      factor = outer;
    },
  };
}

/** How one invocation evaluates. */
export interface LaneOptions {
  /** Values of at most this many elements are names; default 4. */
  readonly straight?: number;
  /** Whether scratch serves again for what comes later. */
  readonly reuse?: boolean;
  /** The text of a zero at which loops begin: one that compilers do not see through keeps them from unrolling. */
  readonly zero?: string;
}

/** WGSL in which one invocation evaluates everything: vectors in names and in the private array `W`. */
export function createLaneDialect(constant: PlaceConstant, reserved = 0, options: LaneOptions = {}): WgslDialect {
  const { straight = 4, reuse = false, zero = "0u" } = options;
  let words = reserved;
  const free = new Map<number, Place[]>();
  const turns = createCounter();
  const loop = (lines: string[], index: string, count: number, emit: () => void, step = 1): void => {
    lines.push(`for (var ${index} = ${zero}; ${index} < ${count}u; ${index} += ${step}u) {`);
    turns.within(Math.ceil(count / step), emit);
    lines.push("}");
  };
  return {
    ...COMMON,
    straight,
    cooperative: false,
    get scratchWords() {
      return words;
    },
    get turns() {
      return turns.total;
    },
    each: loop,
    repeat: loop,
    sync: () => {},
    scratch: (size) => free.get(size)?.pop() ?? memory("W", "", (words += size) - size),
    ...(reuse && {
      release: (place: Place, size: number): void => {
        free.set(size, [...(free.get(size) ?? []), place]);
      },
    }),
    constant,
  };
}

/**
 * WGSL in which a workgroup evaluates `rows` time steps together: the lanes share the elements of all rows, each row has
 * its scratch at `W[w + ...]`, and barriers stand between the stages.
 */
export function createTileDialect(constant: PlaceConstant, options: TileOptions): WgslDialect {
  const { rows, lanes, reserved, locate, barrier } = options;
  let words = reserved;
  const turns = createCounter();
  return {
    ...COMMON,
    straight: 0,
    cooperative: true,
    get scratchWords() {
      return words;
    },
    get turns() {
      return turns.total;
    },
    each(lines, index, count, emit) {
      const most = Math.ceil(rows * count / lanes);
      const item = `e${index}`;
      const total = rows === 1 ? `${count}u` : `rows * ${count}u`;
      if (most === 1) lines.push(`if (lane < ${total}) {`, `let ${item} = lane;`);
      else lines.push(`for (var ${item} = lane; ${item} < ${total}; ${item} += ${lanes}u) {`);
      if (rows === 1) lines.push(`let row = 0u; let ${index} = ${item};`);
      else if (count === 1) lines.push(`let row = ${item}; let ${index} = 0u;`);
      else lines.push(`let row = ${item} / ${count}u; let ${index} = ${item} % ${count}u;`);
      lines.push(...locate);
      if (most === 1) emit();
      else turns.within(most, emit);
      lines.push("}");
    },
    repeat(lines, index, count, emit, step = 1) {
      lines.push(`for (var ${index} = 0u; ${index} < ${count}u; ${index} += ${step}u) {`);
      turns.within(Math.ceil(count / step), emit);
      lines.push("}");
    },
    sync(lines) {
      lines.push(barrier);
    },
    scratch: (size) => memory("W", "w", (words += size) - size),
    constant,
  };
}

/**
 * WGSL in which one invocation evaluates element `u` of a function whose every value has an element for it, or only one:
 * vectors become scalars. `mixes` tells afterwards that the function is not of that kind, and the code of no use.
 */
export function createChannelDialect(
  constant: PlaceConstant,
  width: number,
): WgslDialect & { readonly mixes: boolean } {
  let variables = 0;
  let mixes = false;
  const refuse = (): void => {
    mixes = true;
  };
  return {
    ...COMMON,
    straight: 0,
    cooperative: true,
    scratchWords: 1,
    turns: 0,
    get mixes() {
      return mixes;
    },
    each(lines, index, count, emit) {
      if (count !== width && count !== 1) mixes = true;
      lines.push("{", `let ${index} = ${count === 1 ? "0u" : "u"};`);
      emit();
      lines.push("}");
    },
    repeat: refuse,
    sync: () => {},
    // Declared before all code: values are handed from one block to the next.
    scratch: () => ({ kind: "same", text: `channel${variables++}` }),
    constant,
  };
}
