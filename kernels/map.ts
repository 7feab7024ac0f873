import { functionsOf } from "./functions.ts";
import { assembleKernel, type Kernel } from "./kernel.ts";
import { emitRows, type RowKernelSpec, rowTurns } from "./rows.ts";
import type { TileShape, TracedBinding, TracedCode } from "./traced.ts";

/** Invocations of a workgroup that evaluates one element an invocation. */
export const MAP_LANES = 256;

/** An array that a map reads, bound as `A<k>`: one row, one a sequence, or one a step, `width` words each. */
export interface MapArray {
  readonly kind: "parameter" | "sequence" | "step";
  readonly width: number;
}

/** What is read of the row of an array: from word `read<k>` of it on, or outside of the sequence, where `outside<k>`, from `start<k>`. */
export interface MapRead {
  readonly array: number;
  /** Words of the row before it. */
  readonly offset: number;
  /** Row r - shift. */
  readonly shift: number;
  /** An array per sequence, with rows of `size` words outside of it; null for zeros. */
  readonly start: { readonly array: number; readonly offset: number; readonly size: number } | null;
}

/** A value that is written: `O<output>[offset + width row + i] = text`. */
export interface MapStore {
  readonly output: number;
  readonly offset: number;
  readonly count: number;
  /** In terms of `i`. */
  readonly text: string;
}

/** What a kernel of a map computes. */
export interface MapSpec {
  readonly name: string;
  readonly arrays: readonly MapArray[];
  readonly reads: readonly MapRead[];
  /** Words of a row of each output. */
  readonly outputs: readonly number[];
  readonly code: TracedCode;
  readonly stores: readonly MapStore[];
  /** One invocation for each of `elements` elements of a row; else one a row, or tiles of rows. */
  readonly form: { readonly elements: number } | { readonly tile: TileShape | null };
}

/** The numbers of a map. */
export interface MapInfo {
  readonly rows: number;
  /** Rows of a sequence among them, t of the first of it, and T. */
  readonly span: number;
  readonly t0: number;
  readonly time: number;
  /** Of tiles: the first, and how many a workgroup takes. */
  readonly first: number;
  readonly count: number;
  /** The words of row 0 in every array and every output; they count modulo 2³². */
  readonly arrays: readonly number[];
  readonly outputs: readonly number[];
}

/** Words of the uniform of a map. */
export function packMapInfo({ rows, span, t0, time, first, count, arrays, outputs }: MapInfo): Uint32Array {
  return Uint32Array.from([1, rows, first, count, span, t0, time, ...arrays, ...outputs], (word) => word >>> 0);
}

function infoStruct({ arrays, outputs }: Pick<MapSpec, "arrays" | "outputs">): string {
  const fields = ["batch", "rows", "first", "count", "span", "t0", "time"];
  fields.push(...arrays.map((_, k) => `a${k}`), ...outputs.map((_, k) => `o${k}`));
  return `struct Info { ${fields.map((field) => `${field}: u32`).join(", ")} };`;
}

/** Statements that locate row `r` of all rows: `seq` its sequence, `now` and `t` its index in it, and what is read. */
export function locateMap({ arrays, reads }: Pick<MapSpec, "arrays" | "reads">): string[] {
  return [
    "let seq = r / P.span; let now = P.t0 + r % P.span; let t = f32(now);",
    ...reads.map(({ array, offset, shift, start }, k): string => {
      const { kind, width } = arrays[array]!;
      if (kind === "parameter") return `let read${k} = P.a${array} + ${offset}u;`;
      if (kind === "sequence") return `let read${k} = P.a${array} + seq * ${width}u + ${offset}u;`;
      if (shift === 0) return `let read${k} = P.a${array} + r * ${width}u + ${offset}u;`;
      const row = shift > 0 ? `(r - ${shift}u)` : `(r + ${-shift}u)`;
      // Both sides of a choice are read: what is not chosen is read from a row that is there.
      const inside = `select(P.a${array} + ${row} * ${width}u, 0u, outside${k}) + ${offset}u`;
      const lines = [
        `let outside${k} = ${shift > 0 ? `now < ${shift}u` : `now + ${-shift}u >= P.time`};`,
        `let read${k} = ${inside};`,
      ];
      if (start !== null) {
        const first = `P.a${start.array} + seq * ${arrays[start.array]!.width}u`;
        const before = shift > 0 ? "now" : `(now + ${-shift}u - P.time)`;
        lines.push(
          `let start${k} = select(0u, ${first} + ${before} * ${start.size}u, outside${k}) + ${start.offset}u;`,
        );
      }
      return lines.join(" ");
    }),
  ];
}

function bindingsOf({ arrays, outputs }: MapSpec): TracedBinding[] {
  return [
    { name: "P", kind: "uniform", type: "Info" },
    ...arrays.map((_, k): TracedBinding => ({ name: `A${k}`, kind: "read", type: "array<f32>" })),
    ...outputs.map((_, k): TracedBinding => ({ name: `O${k}`, kind: "read_write", type: "array<f32>" })),
  ];
}

function storeLine({ output, offset, text }: MapStore, outputs: readonly number[]): string {
  return `O${output}[P.o${output} + r * ${outputs[output]}u + ${offset}u + i] = ${text};`;
}

function headerOf({ name, arrays, outputs, form, stores }: MapSpec): string {
  const how = "elements" in form
    ? `one invocation for each of ${form.elements} elements of a row, neighbours on neighbours`
    : form.tile === null
    ? "one row an invocation"
    : `${form.tile.rows} rows a workgroup`;
  const read = arrays.reduce((sum, { kind, width }) => sum + (kind === "step" ? width : 0), 0);
  const written = stores.reduce((sum, { count }) => sum + count, 0);
  const scratch = "tile" in form && form.tile?.scratch === "storage" ? ", scratch" : "";
  return `${name}: outputs[b, t] = f(inputs[b, t - shift]; params, t), ${how}.
    Bindings: numbers, ${arrays.length} arrays that are read, ${outputs.length} that are written${scratch}.
    Bytes a row: at most ${4 * read} read, ${4 * written} written; operations are those of the function.`;
}

function rowKernel(spec: MapSpec, tile: TileShape | null): RowKernelSpec {
  return {
    name: spec.name,
    header: headerOf(spec),
    bindings: bindingsOf(spec),
    info: infoStruct(spec),
    code: spec.code,
    tile,
    locate: locateMap(spec),
    loads: [],
    stores: spec.stores.map((store) => ({ count: store.count, lines: [storeLine(store, spec.outputs)] })),
  };
}

/** Turns of all loops for one element, one row, or one tile. */
export function mapTurns(spec: MapSpec): number {
  return "elements" in spec.form ? spec.code.turns : rowTurns(rowKernel(spec, spec.form.tile));
}

/**
 * A traced function at all rows. Every array that has a row a step is read once, every output written once; parameters and
 * rows of sequences come from caches for all but the first row that reads them.
 */
export function emitMap(spec: MapSpec): Kernel {
  const { form, code, stores, outputs } = spec;
  if ("tile" in form) return emitRows(rowKernel(spec, form.tile));
  const main = [
    `let e = group * ${MAP_LANES}u + lane;`,
    `if (e >= P.rows * ${form.elements}u) { return; }`,
    `let r = e / ${form.elements}u; let u = e % ${form.elements}u;`,
    ...locateMap(spec),
    ...code.lines,
    "let i = u;",
    ...stores.map((store) => storeLine(store, outputs)),
  ];
  return assembleKernel({
    name: spec.name,
    header: headerOf(spec),
    bindings: bindingsOf(spec),
    declarations: [infoStruct(spec), ...functionsOf(main.join("\n"))],
    workgroup: MAP_LANES,
    main,
  });
}
