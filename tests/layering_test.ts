// Who may import whom (ARCHITECTURE.md), read from the syntax trees that `deno lint` hands to its plugins.

/// <reference lib="deno.unstable" />

import { assert, assertEquals, assertStringIncludes } from "@std/assert";

/** A room imports from itself and from rooms of a lower rank. Files directly in src/ share the room "src". */
const RANKS = new Map(Object.entries({
  "kernels": 0,
  "src/core": 0,
  "src/trace": 1,
  "src/engine": 2,
  "src": 3, // tensor.ts, device.ts, step.ts, tape.ts
  "src/map": 3.5,
  "src/cells": 4,
  "src/solve": 4,
  "src/scan": 4.5, // the way back through a scan is the adjoint of a recurrence
  "src/grad": 5,
  "src/kalman": 5,
  "src/layers": 5,
  "src/ode": 5,
  "src/io": 6,
  "src/train": 6.5,
  "mod.ts": 7,
}));
/** Rooms that may import less than their rank allows. */
const ONLY = new Map([["src/io", ["src/core"]]]);

const ROOT = new URL("../", import.meta.url);

function roomOf(file: string): string {
  return file.match(/^(?:src\/[^/]+(?=\/)|src(?=\/)|kernels(?=\/)|mod\.ts$)/)?.[0] ?? file;
}

/** Why `file` may not import `specifier`; nothing if it may. */
function importFault(file: string, specifier: string): string | undefined {
  if (!/^\.\.?\//.test(specifier)) return `imports "${specifier}": only relative imports are allowed`;
  const target = new URL(specifier, new URL(file, "file:///")).pathname.slice(1);
  const [from, to] = [roomOf(file), roomOf(target)];
  const [rank, targetRank] = [RANKS.get(from), RANKS.get(to)];
  if (file.startsWith("src/") && /(^|\/)mod\.ts$/.test(target)) return `imports ${target}: no mod.ts from inside src/`;
  if (rank === undefined) return `imports ${target}: ${from} has no rank`;
  if (targetRank === undefined) return `imports ${target}: ${to} has no rank`;
  if (from === to) return undefined;
  if (rank <= targetRank) return `imports ${target}: ${from} (rank ${rank}) is not above ${to} (rank ${targetRank})`;
  if (ONLY.get(from)?.includes(to) === false) return `imports ${target}: ${from} may import only ${ONLY.get(from)}`;
}

/** Every breach in one file, as `file:line what`. `file` is relative to the project, with slashes. */
function breaches(file: string, source: string): string[] {
  const found: string[] = [];
  const report = (node: Deno.lint.Node, message: string): void => {
    found.push(`${file}:${source.slice(0, node.range[0]).split("\n").length} ${message}`);
  };
  const checkImport = (node: Deno.lint.Node, target: Deno.lint.Node | null | undefined): void => {
    if (target === null || target === undefined) return;
    const value = target.type === "Literal" ? target.value : undefined;
    const fault = typeof value === "string" ? importFault(file, value) : "imports what only running it would tell";
    if (fault !== undefined) report(node, fault);
  };
  const visitor: Deno.lint.LintVisitor = {
    ImportDeclaration: (node) => checkImport(node, node.source),
    ExportNamedDeclaration: (node) => checkImport(node, node.source),
    ExportAllDeclaration: (node) => checkImport(node, node.source),
    ImportExpression: (node) => checkImport(node, node.source),
    TSImportType: (node) => report(node, "has an import inside a type: import it at the top"),
    Identifier(node) {
      if (node.name === "Deno") report(node, "names Deno: the library runs in browsers too");
      if (/^GPU[A-Z]/.test(node.name) && !file.startsWith("src/engine/webgpu/")) {
        report(node, `names ${node.name} outside src/engine/webgpu/`);
      }
    },
    Program(node) {
      if (!/(^|\/)mod\.ts$/.test(file)) return;
      for (const statement of node.body) {
        const isReExport = statement.type === "ExportAllDeclaration" ||
          statement.type === "ExportNamedDeclaration" && !statement.declaration;
        if (!isReExport && statement.type !== "ImportDeclaration") {
          report(statement, "holds code: an entry point re-exports only");
        }
      }
    },
  };
  Deno.lint.runPlugin({ name: "layering", rules: { layering: { create: () => visitor } } }, file, source);
  return found;
}

function* filesUnder(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(new URL(folder, ROOT))) {
    if (entry.isDirectory) yield* filesUnder(`${folder}${entry.name}/`);
    else if (/\.[cm]?[jt]sx?$/.test(entry.name)) yield `${folder}${entry.name}`;
  }
}

Deno.test("layering: no file of the library breaks the order of the house", () => {
  const folders = [...Deno.readDirSync(ROOT)].map((entry) => entry.name).filter((name) => /^(src|kernels)$/.test(name));
  const files = ["mod.ts", ...folders.flatMap((folder) => [...filesUnder(`${folder}/`)])];
  assert(files.includes("src/core/types.ts"), "the walk over src/ found too little");
  assertEquals(files.flatMap((file) => breaches(file, Deno.readTextFileSync(new URL(file, ROOT)))), []);
});

Deno.test("layering: what is allowed passes", () => {
  const allowed: [file: string, source: string][] = [
    ["src/core/shape.ts", `import type { Shape } from "./types.ts";`],
    ["src/trace/build.ts", `import { a } from "../core/tree.ts"; export { b } from "./graph.ts";`],
    ["src/engine/cpu/scan.ts", `import { a } from "../engine.ts"; import { b } from "../../../kernels/scan.ts";`],
    ["src/engine/webgpu/device.ts", `export function f(device: GPUDevice): GPUBuffer { return g(device); }`],
    ["src/tensor.ts", `import { openDevice } from "./device.ts"; import { e } from "./engine/engine.ts";`],
    ["src/scan/affine.ts", `import { a } from "../tensor.ts"; import { b } from "../engine/engine.ts";`],
    ["src/solve/iterate.ts", `import { a } from "../step.ts"; import { b } from "../map/map.ts";`],
    ["src/scan/pullback.ts", `import { a } from "../solve/adjoint.ts"; import { b } from "../map/map.ts";`],
    ["src/layers/sru.ts", `import { a } from "../map/map.ts"; import { b } from "../scan/affine.ts";`],
    ["src/train/train.ts", `import { vjp } from "../grad/vjp.ts"; import { gru } from "../cells/gru.ts";`],
    ["src/io/mod.ts", `export { readNpy } from "./npy.ts"; export type { Npy } from "./npy.ts";`],
    ["mod.ts", `export * as ops from "./src/trace/ops.ts"; export { gru } from "./src/cells/gru.ts";`],
    ["src/device.ts", `// Deno.args, GPUDevice\nexport const a: boolean = "Deno" in globalThis; // "GPUDevice"`],
  ];
  for (const [file, source] of allowed) assertEquals(breaches(file, source), []);
});

Deno.test("layering: each kind of breach is seen", () => {
  const refused: [file: string, source: string, message: string][] = [
    ["src/core/a.ts", `\nimport { a } from "../trace/graph.ts";`, "src/core/a.ts:2 imports src/trace/graph.ts"],
    ["src/core/a.ts", `import type { A } from "../tensor.ts";`, "src/core (rank 0) is not above src (rank 3)"],
    ["src/core/a.ts", `import { a } from "../../kernels/a.ts";`, "(rank 0) is not above kernels"],
    ["kernels/a.ts", `import { a } from "../src/core/types.ts";`, "kernels (rank 0) is not above src/core"],
    ["src/engine/cpu/a.ts", `export { a } from "../../tensor.ts";`, "is not above src (rank 3)"],
    ["src/tensor.ts", `import { a } from "./scan/a.ts";`, "src (rank 3) is not above src/scan (rank 4.5)"],
    ["src/solve/a.ts", `import { a } from "../cells/a.ts";`, "src/solve (rank 4) is not above src/cells (rank 4)"],
    ["src/solve/a.ts", `import { a } from "../scan/a.ts";`, "src/solve (rank 4) is not above src/scan"],
    ["src/cells/a.ts", `export * from "../solve/methods.ts";`, "is not above src/solve"],
    ["src/cells/a.ts", `const a = await import("../grad/a.ts");`, "is not above src/grad"],
    ["src/cells/a.ts", "const a = await import(`../grad/${name}.ts`);", "only running it would tell"],
    ["src/cells/a.ts", `let a: import("../grad/a.ts").A;`, "import inside a type"],
    ["src/io/a.ts", `import { a } from "../trace/graph.ts";`, "src/io may import only src/core"],
    ["src/solve/a.ts", `import { gru } from "../../mod.ts";`, "no mod.ts from inside src/"],
    ["src/train/a.ts", `import { readNpy } from "../io/mod.ts";`, "no mod.ts from inside src/"],
    ["src/attic/a.ts", `import { a } from "../core/types.ts";`, "src/attic has no rank"],
    ["src/core/a.ts", `import { a } from "../../bench/a.ts";`, "bench/a.ts has no rank"],
    ["src/core/a.ts", `import { a } from "jsr:@std/path@1";`, "only relative imports"],
    ["src/core/a.ts", `import { a } from "npm:a@1";`, "only relative imports"],
    ["src/core/a.ts", `import { a } from "https://example.org/a.ts";`, "only relative imports"],
    ["src/core/a.ts", `import { a } from "@cervid/cervid";`, "only relative imports"],
    ["src/core/a.ts", `export const a: string[] = Deno.args;`, "names Deno"],
    ["src/core/a.ts", "const a = `${globalThis.Deno?.pid}`;", "names Deno"],
    ["kernels/a.ts", `export type A = GPUBuffer[];`, "names GPUBuffer outside"],
    ["src/engine/cpu/a.ts", `const a = GPUBufferUsage.STORAGE;`, "names GPUBufferUsage outside"],
    ["mod.ts", `export const version: string = "1";`, "re-exports only"],
    ["src/io/mod.ts", `export { a } from "./a.ts";\nconsole.log("hello");`, "src/io/mod.ts:2 holds code"],
  ];
  for (const [file, source, message] of refused) {
    const found = breaches(file, source);
    assertEquals(found.length, 1, `${file}: ${source}`);
    assertStringIncludes(found[0] ?? "", message);
  }
});
