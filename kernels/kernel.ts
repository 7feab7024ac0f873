/** How a kernel uses the buffer at binding i of group 0. */
export type BindingKind = "uniform" | "read" | "read_write";

/** A kernel as text, and what a dispatcher must know of it. Pipelines are cached by `code`. */
export interface Kernel {
  /** Form and sizes, for labels, timings and errors. */
  readonly name: string;
  /** WGSL with the entry point `main`. */
  readonly code: string;
  readonly bindings: readonly BindingKind[];
}

/** Turns of all loops that one invocation may make: llvmpipe stops silently after 65 535, watchdogs of drivers later. */
export const MAX_TURNS = 60_000;

/** Texts of one kernel in order: the header as a comment, declarations, functions, the body of `main`. */
export interface KernelParts {
  readonly name: string;
  /** What it computes, the algorithm, bytes and operations per element, limits. */
  readonly header: string;
  readonly bindings: readonly { readonly name: string; readonly kind: BindingKind; readonly type: string }[];
  readonly declarations?: readonly string[];
  readonly workgroup: number;
  readonly main: readonly string[];
}

/** Puts a kernel together; `main` sees `lane` (in the workgroup) and `group` (of a grid folded to two dimensions). */
export function assembleKernel({ name, header, bindings, declarations = [], workgroup, main }: KernelParts): Kernel {
  const spaces = { uniform: "uniform", read: "storage, read", read_write: "storage, read_write" } as const;
  const code = [
    // Names of steps are anything; a line break of WGSL would end the comment.
    ...header.trim().split("\n").map((line) => `// ${line.trim().replace(/[^\x20-\x7e]/g, "?")}`),
    ...bindings.map(({ name, kind, type }, i) => `@group(0) @binding(${i}) var<${spaces[kind]}> ${name}: ${type};`),
    ...declarations,
    `@compute @workgroup_size(${workgroup})`,
    "fn main(",
    "  @builtin(workgroup_id) id: vec3<u32>,",
    "  @builtin(num_workgroups) groups: vec3<u32>,",
    "  @builtin(local_invocation_index) lane: u32,",
    ") {",
    "let group = id.x + id.y * groups.x;",
    ...main,
    "}",
  ].join("\n");
  return { name, code, bindings: bindings.map(({ kind }) => kind) };
}
