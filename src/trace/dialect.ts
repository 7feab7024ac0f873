import type { ElementwiseOp } from "./graph.ts";
import { ELEMENTWISE } from "./elementwise.ts";
import { memory, type Place } from "./places.ts";

/**
 * A language that the printer writes, and the machine that it is written for. Loops are asked for by what they mean, so
 * that one printer serves a single thread and a workgroup whose lanes share each loop.
 */
export interface Dialect {
  /** Vectors of at most this many elements become local names and straight code, longer ones loops over scratch. */
  readonly straight: number;
  /** Lanes share the loops over elements: values pass from one loop to the next through scratch memory only. */
  readonly cooperative: boolean;
  /** Rows of a product that one turn of its loop does, and columns of one turn of the inner loop. */
  readonly rowsAtOnce: (vectors: number) => number;
  readonly columnsAtOnce: number;
  /** Words of scratch memory used so far. */
  readonly scratchWords: number;

  /** A number, or null where the language has no text for it. */
  literal(value: number): string | null;
  element(op: ElementwiseOp, operands: readonly string[]): string;
  define(name: string, text: string): string;
  variable(name: string, text: string): string;
  /** A loop whose turns are independent. */
  each(lines: string[], index: string, count: number, emit: () => void, step?: number): void;
  /** A loop in order. */
  repeat(lines: string[], index: string, count: number, emit: () => void, step?: number): void;
  /** What was stored before is seen by all after it. */
  sync(lines: string[]): void;
  scratch(size: number): Place;
  /** Gives memory back: the next `scratch` of that size may get it. Absent: scratch is not used twice. */
  release?(place: Place, size: number): void;
  constant(data: Float64Array): Place;
}

/** The scratch memory `W` and the constants `K` of printed JavaScript. */
export interface JsDialect extends Dialect {
  readonly constants: readonly Float64Array[];
}

/** JavaScript for one thread; the first `reserved` words of scratch belong to the caller. */
export function createJsDialect(reserved = 0): JsDialect {
  let words = reserved;
  const constants: Float64Array[] = [];
  const loop = (lines: string[], index: string, count: number, emit: () => void, step = 1): void => {
    lines.push(`for (let ${index} = 0; ${index} < ${count}; ${step === 1 ? `${index}++` : `${index} += ${step}`}) {`);
    emit();
    lines.push("}");
  };
  return {
    straight: 4,
    cooperative: false,
    // Independent accumulators hide the latency of additions, and each vector element is read once for several rows.
    rowsAtOnce: (vectors) => vectors === 1 ? 4 : 2,
    columnsAtOnce: 1,
    get scratchWords() {
      return words;
    },
    constants,
    literal: (value) => Object.is(value, -0) ? "(-0)" : value < 0 ? `(${value})` : String(value),
    element: (op, [a, b = "", c = ""]) => ELEMENTWISE[op].js(a!, b, c),
    define: (name, text) => `const ${name} = ${text};`,
    variable: (name, text) => `let ${name} = ${text};`,
    each: loop,
    repeat: loop,
    sync: () => {},
    scratch: (size) => memory("W", "", (words += size) - size),
    constant: (data) => memory(`K${constants.push(data) - 1}`),
  };
}
