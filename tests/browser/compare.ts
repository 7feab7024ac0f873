import type { BindingKind } from "../../kernels/kernel.ts";
import type { CaseBuffer, KernelCase, WordKind } from "../kernels/table.ts";
import { type KernelRun, wordsOf } from "./dispatch.ts";

const RELATIVE = 1e-5;
const ABSOLUTE = 1e-6;

/** The number that 32 bits stand for. */
function floatOf(word: number): number {
  return new Float32Array(Uint32Array.of(word).buffer)[0]!;
}

function agrees(
  kind: WordKind,
  a: number,
  b: number,
  { absolute = ABSOLUTE, relative = RELATIVE }: CaseBuffer,
): boolean {
  if (kind === "any" || a === b) return true;
  if (kind === "u32") return false;
  const [x, y] = [floatOf(a), floatOf(b)];
  if (!Number.isFinite(x) || !Number.isFinite(y)) return Object.is(x, y);
  return Math.abs(x - y) <= absolute + relative * Math.abs(y);
}

function bufferFault(content: CaseBuffer, ours: readonly number[], theirs: readonly number[]): string | undefined {
  const given = content.kind ?? (content.data instanceof Float32Array ? "f32" : "u32");
  const kinds = typeof given === "string" ? [given] : given;
  const kindOf = (i: number): WordKind => kinds[i % kinds.length]!;
  const show = (i: number, word: number): string => kindOf(i) === "f32" ? `${floatOf(word)}` : `${word}`;
  const far = ours.flatMap((word, i) => agrees(kindOf(i), word, theirs[i]!, content) ? [] : [i]);
  const [first] = far;
  if (first === undefined) return undefined;
  const values = `${show(first, ours[first]!)} in Deno, ${show(first, theirs[first]!)} in the browser`;
  return `${far.length} of ${ours.length} words differ, the first at ${first}: ${values}`;
}

/** What is wrong with one run by itself. WebGPU reports what its compiler refuses among its errors. */
function runFault({ kernel, run }: KernelCase, { errors, buffers }: KernelRun): string | undefined {
  if (errors.length > 0) return errors.join("\n").trim();
  if (run === undefined) return undefined;
  const written = kernel.bindings.flatMap((kind: BindingKind, i) => kind === "read_write" ? [i] : []);
  const unchanged = (i: number): boolean => {
    const before = wordsOf(run.buffers[i]!);
    return buffers[i]!.every((word, j) => word === before[j]);
  };
  if (run.idle) return written.every(unchanged) ? undefined : "it changed a buffer, which it should not";
  // Kernels that did not run would agree as well.
  return written.every(unchanged) ? "it changed nothing" : undefined;
}

/** Why the runs of a kernel in Deno and in a browser do not agree; nothing if they do. */
export function findFault(given: KernelCase, ours: KernelRun, theirs: KernelRun): string | undefined {
  const [inDeno, inBrowser] = [runFault(given, ours), runFault(given, theirs)];
  if (inDeno !== undefined) return `Deno: ${inDeno}`;
  if (inBrowser !== undefined) return `browser: ${inBrowser}`;
  for (const [i, content] of (given.run?.buffers ?? []).entries()) {
    const [a, b] = [ours.buffers[i], theirs.buffers[i]];
    if (!a || !b) continue;
    const fault = bufferFault(content, a, b);
    if (fault !== undefined) return `binding ${i}: ${fault}`;
  }
}
