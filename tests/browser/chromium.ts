/** Chromium without a window, on SwiftShader: a browser's WebGPU on any machine. */

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const FLAGS = [
  "--headless",
  "--no-sandbox", // it cannot start as root otherwise; the page is ours
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-logging=stderr", // the console of pages among the rest
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic",
  "--no-first-run",
];
const GRACE_MS = 5_000;

/** The first browser of the family on the path. */
export function findChromium(): string | undefined {
  const folders = (Deno.env.get("PATH") ?? "").split(":").filter((folder) => folder !== "");
  const candidates = NAMES.flatMap((name) => folders.map((folder) => `${folder}/${name}`));
  return candidates.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

/** A browser under way. */
export interface Chromium {
  /** Its exit code, when it ends by itself or is closed. */
  readonly ended: Promise<number>;
  /** Ends it; what pages wrote to the console, and the last lines of all that the browser wrote. */
  close(): Promise<{ console: string[]; tail: string }>;
}

/** Lines such as `[1:1:1122/033146.28:INFO:CONSOLE:2] "text", source: http://127.0.0.1:80/ (2)`; texts may break lines. */
function consoleOf(log: string): string[] {
  return [...log.matchAll(/:CONSOLE[:(]\d+\)?\] "([\s\S]*?)", source: (\S*) \(\d+\)/g)].map(([, text]) => text!);
}

/** Opens `url` in a browser with a profile of its own. */
export async function openChromium(executable: string, url: string): Promise<Chromium> {
  const profile = await Deno.makeTempDir({ prefix: "cervid-chromium-" });
  const child = new Deno.Command(executable, {
    args: [...FLAGS, `--user-data-dir=${profile}`, url],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log = new Response(child.stderr).text();
  const ended = child.status.then(({ code }) => code);
  const end = (signal: Deno.Signal): void => {
    try {
      child.kill(signal);
    } catch { /* it has ended */ }
  };
  return {
    ended,
    async close(): Promise<{ console: string[]; tail: string }> {
      end("SIGTERM");
      const timer = setTimeout(() => end("SIGKILL"), GRACE_MS);
      const text = await log; // until the last of its processes has ended
      clearTimeout(timer);
      await ended;
      await Deno.remove(profile, { recursive: true });
      return { console: consoleOf(text), tail: text.trimEnd().split("\n").slice(-10).join("\n") };
    },
  };
}
