/**
 * `deno task bundle`: the library as one minified ECMAScript module, out/cervid.js, for pages that do not build.
 * Prints its size, plain and gzipped.
 */

const ROOT = new URL("../", import.meta.url);
const OUT = new URL("out/cervid.js", ROOT);

/** A module and all that it imports as one minified module. Relative imports alone are resolved: there is no package. */
export async function bundle(entry: URL): Promise<Uint8Array<ArrayBuffer>> {
  // Not at the top: where npm cannot be reached, the tests that need no bundle still run.
  const esbuild = await import("npm:esbuild@0.28.2");
  try {
    const { outputFiles } = await esbuild.build({
      entryPoints: [decodeURIComponent(entry.pathname)],
      bundle: true,
      minify: true,
      format: "esm",
      platform: "browser",
      target: "es2022",
      charset: "utf8",
      tsconfigRaw: {},
      write: false,
      logLevel: "silent",
    });
    return new Uint8Array(outputFiles[0]!.contents);
  } finally {
    await esbuild.stop();
  }
}

async function gzipBytes(data: Uint8Array<ArrayBuffer>): Promise<number> {
  const compressed = new Blob([data]).stream().pipeThrough(new CompressionStream("gzip"));
  return (await new Response(compressed).arrayBuffer()).byteLength;
}

if (import.meta.main) {
  const code = await bundle(new URL("mod.ts", ROOT));
  await Deno.mkdir(new URL("./", OUT), { recursive: true });
  await Deno.writeFile(OUT, code);
  const [plain, gzipped] = [code.length, await gzipBytes(code)].map((bytes) => bytes.toLocaleString("en"));
  console.log(`out/cervid.js: ${plain} bytes, ${gzipped} gzipped`);
}
