import type { Kernel } from "../../../kernels/kernel.ts";
import {
  emitOperatorScan,
  keptWords,
  laterAt,
  OPERATOR_ZERO,
  type OperatorCode,
  type OperatorLeaf,
  type OperatorSpec,
  operatorTurns,
  prefixName,
} from "../../../kernels/operator_scan.ts";
import { DeviceError } from "../../core/errors.ts";
import { createLaneDialect, type WgslDialect } from "../../trace/dialect_wgsl.ts";
import type { Node } from "../../trace/graph.ts";
import { memory, type Place, read } from "../../trace/places.ts";
import { printCode } from "../../trace/print.ts";
import type { RowProgram } from "../../trace/rows.ts";
import { valuesAhead } from "../../trace/rows_ahead.ts";
import { ParameterPack } from "./traced.ts";

/**
 * Values of at most so many elements are kept in names: registers, where an array that is indexed is memory. Small elements
 * as a whole, so that there is no array at all.
 */
const NAMED = { small: 80, large: 4 } as const;
/** Words of a small element. */
const SMALL = 128;
/** Words of private memory that every device has. */
const PRIVATE_WORDS = 2048;

type Source = OperatorSpec["source"];

/** A kernel, and what it was made of. */
export interface OperatorKernel {
  readonly spec: OperatorSpec;
  readonly kernel: Kernel;
}

/** All that the engine knows of an operator. */
export class OperatorPlan {
  readonly leaves: readonly OperatorLeaf[];
  /** Words of an element. */
  readonly words: number;
  readonly pack: ParameterPack;
  readonly #program: RowProgram;
  readonly #named: number;
  readonly #codes: Readonly<Record<Source, OperatorCode>>;
  readonly #kernels = new Map<string, OperatorKernel>();

  constructor(program: RowProgram) {
    this.#program = program;
    this.pack = new ParameterPack(program, 0);
    const total = program.outputs.reduce((sum, { node }) => sum + node.size, 0);
    this.#named = total <= SMALL ? NAMED.small : NAMED.large;
    let [words, kept] = [0, 0];
    this.leaves = program.outputs.map(({ node: { size } }): OperatorLeaf => {
      const first = words;
      words += size;
      if (size <= this.#named) return { size, first, kept: null };
      kept += size;
      return { size, first, kept: kept - size };
    });
    this.words = words;
    const printed = { arrays: this.#print("arrays"), packed: this.#print("packed") };
    // Which constants there are is known once all is printed.
    const constants = this.pack.words > 0;
    this.#codes = { arrays: { ...printed.arrays, constants }, packed: { ...printed.packed, constants } };
  }

  /** Turns of an invocation for each row, and beside the rows. */
  turns(source: Source): { readonly row: number; readonly fixed: number } {
    return operatorTurns({ leaves: this.leaves, code: this.#codes[source] });
  }

  kernel(phase: OperatorSpec["phase"], source: Source): OperatorKernel {
    const key = `${phase} ${source}`;
    let known = this.#kernels.get(key);
    if (known === undefined) {
      const spec = { name: this.#program.name, phase, source, leaves: this.leaves, code: this.#codes[source] };
      this.#kernels.set(key, known = { spec, kernel: emitOperatorScan(spec) });
    }
    return known;
  }

  #print(source: Source): Omit<OperatorCode, "constants"> {
    const { params, inputs, outputs, name } = this.#program;
    const { leaves, pack } = this;
    const dialect = createLaneDialect((data) => pack.place(data), 0, {
      straight: this.#named,
      reuse: true,
      zero: OPERATOR_ZERO,
    });
    const places = new Map<Node, Place>();
    for (const [k, { leaf }] of params.entries()) places.set(leaf, memory("C", "", pack.offsets[k]));
    for (const [i, { leaf }] of inputs.entries()) {
      const k = i % leaves.length;
      places.set(leaf, i < leaves.length ? prefixPlace(leaves[k]!, k) : memory(...laterAt(source, k, leaves[k]!)));
    }
    const ahead = printCode(valuesAhead(this.#program), places, dialect);
    const aheadTurns = dialect.turns;
    const combine = printCode(outputs.map(({ node }) => node), places, dialect);
    this.#replacePrefix(outputs.map(({ node }) => places.get(node)!), combine, dialect);
    const scratch = dialect.scratchWords;
    const needed = keptWords(leaves) + scratch;
    if (needed > PRIVATE_WORDS) {
      throw new DeviceError(
        `Cannot scan with "${name}": to combine elements of ${this.words} words takes ${needed}, and an invocation of ` +
          `WebGPU has ${PRIVATE_WORDS}; use smaller elements, or the CPU engine`,
      );
    }
    const combineTurns = dialect.turns - aheadTurns;
    return { ahead, combine, scratch, aheadTurns, combineTurns };
  }

  /** Statements that make the combined element the prefix, where its parts may be parts of the prefix themselves. */
  #replacePrefix(values: readonly Place[], lines: string[], dialect: WgslDialect): void {
    const moves: string[] = [];
    const combined = values.map((value, k): Place => {
      const { size, kept } = this.leaves[k]!;
      if (kept === null) {
        for (let i = 0; i < size; i++) {
          lines.push(dialect.define(`n${k}_${i}`, read(value, i)));
          moves.push(`${prefixName(k, i)} = n${k}_${i};`);
        }
        return value;
      }
      if (value.kind === "same") {
        lines.push(dialect.define(`n${k}`, value.text));
        return { kind: "same", text: `n${k}` };
      }
      if (value.kind !== "memory" || value.name !== "E") return value;
      const copy = dialect.scratch(size);
      dialect.each(lines, "i", size, () => lines.push(`${read(copy, "i")} = ${read(value, "i")};`));
      return copy;
    });
    for (const [k, value] of combined.entries()) {
      const { size, kept } = this.leaves[k]!;
      if (kept === null) continue;
      const to = memory("E", "", kept);
      dialect.each(lines, "i", size, () => lines.push(`${read(to, "i")} = ${read(value, "i")};`));
    }
    lines.push(...moves);
  }
}

/** Where leaf k of the prefix is. */
function prefixPlace({ size, kept }: OperatorLeaf, k: number): Place {
  if (kept !== null) return memory("E", "", kept);
  return { kind: "locals", texts: Array.from({ length: size }, (_, i) => prefixName(k, i)) };
}

const cache = new WeakMap<RowProgram, OperatorPlan>();

/** The plan of an operator, made at first use and kept as long as the operator. */
export function operatorPlan(program: RowProgram): OperatorPlan {
  let plan = cache.get(program);
  if (plan === undefined) cache.set(program, plan = new OperatorPlan(program));
  return plan;
}
