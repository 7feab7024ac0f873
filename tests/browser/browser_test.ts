// Two compilers and a bundle: see run.ts. What decides whether two runs agree is tested by itself first.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { assembleKernel } from "../../kernels/kernel.ts";
import { missingAdapter } from "../engine/webgpu/adapter.ts";
import type { CaseBuffer, KernelCase } from "../kernels/table.ts";
import { findChromium } from "./chromium.ts";
import { findFault } from "./compare.ts";
import type { KernelRun } from "./dispatch.ts";
import { runBrowser } from "./run.ts";

const kernel = assembleKernel({
  name: "any",
  header: "Is not run.",
  bindings: [{ name: "out", kind: "read_write", type: "array<u32>" }],
  workgroup: 1,
  main: [],
});

/** Why runs that leave `ours` and `theirs` in the one buffer of a kernel do not agree. */
function faultOf(
  content: CaseBuffer,
  ours: readonly number[],
  theirs: readonly number[],
  { idle, ...said }: { idle?: true; errors?: string[]; messages?: string[] } = {},
): string | undefined {
  const given: KernelCase = { name: "any", kernel, run: { buffers: [content], grid: 1, ...(idle ? { idle } : {}) } };
  const words = (values: readonly number[]): number[] =>
    Array.from(content.data instanceof Float32Array ? new Uint32Array(Float32Array.from(values).buffer) : values);
  const run = (values: readonly number[]): KernelRun => ({
    name: "any",
    errors: [],
    messages: [],
    buffers: [words(values)],
  });
  return findFault(given, run(ours), { ...run(theirs), ...said });
}

Deno.test("browser: runs that agree", () => {
  const zeros = { data: new Float32Array(3) };
  assertEquals(faultOf(zeros, [1, -2, NaN], [1 + 5e-6, -2 - 5e-6, NaN]), undefined);
  assertEquals(faultOf(zeros, [1, 1e-7, Infinity], [1, 0, Infinity]), undefined);
  assertEquals(faultOf({ ...zeros, relative: 0.1 }, [1, 0, 0], [1.05, 0, 0]), undefined);
  assertEquals(faultOf({ data: new Uint32Array(2), kind: ["u32", "any"] }, [7, 1], [7, 2]), undefined);
  assertEquals(faultOf(zeros, [0, 0, 0], [0, 0, 0], { idle: true }), undefined);
  assertEquals(faultOf(zeros, [1, 0, 0], [1, 0, 0], { messages: ["warning, line 1: odd"] }), undefined);
});

Deno.test("browser: every kind of disagreement is seen", () => {
  const zeros = { data: new Float32Array(2) };
  const refused: [string | undefined, string][] = [
    [faultOf(zeros, [1, 2], [1, 2.001]), "1 of 2 words differ, the first at 1: 2 in Deno, 2.00"],
    [faultOf(zeros, [1, NaN], [1, 0]), "NaN in Deno, 0 in the browser"],
    [faultOf(zeros, [1, 0], [1, NaN]), "0 in Deno, NaN in the browser"],
    [faultOf(zeros, [1, Infinity], [1, -Infinity]), "Infinity in Deno, -Infinity in the browser"],
    [faultOf(zeros, [1, Infinity], [1, 3e38]), "1 of 2 words differ"],
    [faultOf({ data: new Uint32Array(2) }, [1, 2], [1, 3]), "2 in Deno, 3 in the browser"],
    [faultOf({ data: new Uint32Array(4), kind: ["any", "u32"] }, [1, 2, 3, 4], [9, 2, 9, 5]), "the first at 3"],
    [faultOf(zeros, [1, 0], [0, 0]), "browser: it changed nothing"],
    [faultOf(zeros, [0, 0], [0, 0]), "Deno: it changed nothing"],
    [faultOf(zeros, [0, 0], [0, 1], { idle: true }), "browser: it changed a buffer"],
    [faultOf(zeros, [1, 0], [1, 0], { errors: ["no memory"] }), "browser: no memory"],
  ];
  for (const [fault, part] of refused) assertStringIncludes(fault ?? "no fault", part);
});

const executable = findChromium();
const missing = executable === undefined ? "no chromium or google-chrome on the path" : missingAdapter;
const ignore = missing !== undefined && Deno.env.get("CERVID_REQUIRE_CHROMIUM") !== "1";

Deno.test({
  name: `browser: the bundle solves, and kernels agree with Deno's${ignore ? `: skipped, ${missing}` : ""}`,
  ignore,
  fn: async (t) => {
    assert(executable !== undefined, `Cannot test in a browser, as CERVID_REQUIRE_CHROMIUM=1 demands: ${missing}`);
    const { outcomes, notes, adapter } = await runBrowser(executable);
    console.log([adapter, ...notes].join("\n"));
    for (const { name, fault } of outcomes) {
      await t.step(name, () => assert(fault === undefined, fault));
    }
  },
});
