/**
 * `deno task test:browser`: the bundled library and the table of kernels in headless Chromium, whose compiler is Tint,
 * beside Deno's own WebGPU, whose compiler is naga.
 */

import { bundle } from "../../.ci/bundle.ts";
import { KERNEL_CASES } from "../kernels/table.ts";
import { findChromium, openChromium } from "./chromium.ts";
import { findFault } from "./compare.ts";
import { type KernelRun, runKernel } from "./dispatch.ts";
import type { PageReport } from "./page.ts";

const TIME_LIMIT_MS = 120_000;
const GOLDEN = new URL("../golden/", import.meta.url);

/** One check and why it failed, if it did. */
export interface Outcome {
  readonly name: string;
  readonly fault?: string;
}

/** What a run found. */
export interface BrowserRun {
  readonly outcomes: readonly Outcome[];
  /** What the browser's compiler said. */
  readonly notes: readonly string[];
  readonly adapter: string;
}

/** The kernels of the table on Deno's WebGPU. */
async function runInDeno(): Promise<KernelRun[]> {
  const adapter = await navigator.gpu.requestAdapter();
  if (adapter === null) throw new Error("Cannot run the kernels in Deno: expected a WebGPU adapter, got none");
  const device = await adapter.requestDevice();
  try {
    const runs: KernelRun[] = [];
    for (const given of KERNEL_CASES) runs.push(await runKernel(device, given));
    return runs;
  } finally {
    device.destroy();
  }
}

/** Serves the page until it has posted its report, then closes the browser. */
async function runInBrowser(executable: string): Promise<{ report: PageReport; console: string[] }> {
  const script = await bundle(new URL("page.ts", import.meta.url));
  const html = await Deno.readFile(new URL("page.html", import.meta.url));
  const { promise, resolve, reject } = Promise.withResolvers<PageReport>();
  let progress = "the page had not begun";
  const fail = (text: string): void => reject(new Error(`Cannot run the page: ${text} (last step: ${progress})`));
  const answer = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    if (request.method === "POST") {
      const text = await request.text();
      if (pathname === "/progress") {
        progress = text;
        globalThis.console.log(Math.round(performance.now()), text.slice(0, 60));
      } else if (pathname === "/report") resolve(JSON.parse(text));
      else fail(text);
      return new Response(null, { status: 204 });
    }
    if (pathname === "/") return new Response(html, { headers: { "content-type": "text/html" } });
    if (pathname === "/page.js") return new Response(script, { headers: { "content-type": "text/javascript" } });
    const golden = /^\/golden\/(\w+\.safetensors)$/.exec(pathname)?.[1];
    return golden === undefined
      ? new Response(null, { status: pathname === "/favicon.ico" ? 204 : 404 })
      : new Response(await Deno.readFile(new URL(golden, GOLDEN)));
  };
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, answer);
  const browser = await openChromium(executable, `http://127.0.0.1:${server.addr.port}/`);
  browser.ended.then((code) => fail(`${executable} ended with code ${code}`));
  const timer = setTimeout(() => fail(`no report within ${TIME_LIMIT_MS / 1000} s`), TIME_LIMIT_MS);
  const report = await promise.catch((error: Error) => error);
  clearTimeout(timer);
  const { console, tail } = await browser.close();
  if (report instanceof Error) {
    throw new Error([report.message, ...console, "Last lines of the browser:", tail].join("\n"));
  }
  return { report, console };
}

/** All checks in the browser `executable`. Throws where one of the two sides cannot run at all. */
export async function runBrowser(executable: string): Promise<BrowserRun> {
  const ours = await runInDeno();
  const { report, console } = await runInBrowser(executable);
  const kernels = KERNEL_CASES.map((given, i): Outcome => {
    const theirs = report.kernels[i];
    const fault = theirs === undefined ? "the page did not run it" : findFault(given, ours[i]!, theirs);
    return { name: given.name, ...(fault === undefined ? {} : { fault }) };
  });
  // The page writes nothing: what is there are complaints of the browser.
  const silence = { name: "nothing on the console", ...(console.length > 0 ? { fault: console.join("\n") } : {}) };
  return {
    outcomes: [...report.solves, ...kernels, silence],
    notes: report.kernels.flatMap(({ name, messages }) => messages.map((message) => `${name}: ${message}`)),
    adapter: report.adapter,
  };
}

if (import.meta.main) {
  const executable = findChromium();
  if (executable === undefined) {
    console.error("Cannot test in a browser: expected chromium or google-chrome on the path; install one of them");
    Deno.exit(1);
  }
  const start = performance.now();
  const { outcomes, notes, adapter } = await runBrowser(executable);
  notes.forEach((note) => console.log(`note: ${note}`));
  for (const { name, fault } of outcomes) {
    console.log(fault === undefined ? `ok: ${name}` : `FAILED: ${name}: ${fault}`);
  }
  const failed = outcomes.filter(({ fault }) => fault !== undefined).length;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`browser: ${outcomes.length - failed} passed, ${failed} failed (${adapter}, ${seconds} s)`);
  Deno.exit(failed === 0 ? 0 : 1);
}
