import { show } from "./checks.ts";

/** Parses JSON; throws a SyntaxError that starts with `context` if `text` is none, or names a key twice in one object. */
export function parseJson(text: string, context: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(`${context}: expected JSON, got an error: ${(cause as Error).message}`, { cause });
  }
  // JSON.parse keeps the last of several values in silence: two readers could see two different files.
  const key = findRepeatedKey(text);
  if (key !== undefined) throw new SyntaxError(`${context}: expected every name once, got ${show(key)} twice`);
  return value;
}

/** The first key that stands twice in one object of `text`, which must be valid JSON. */
function findRepeatedKey(text: string): string | undefined {
  /** The keys seen in every open object; null for an open list. */
  const open: (Set<string> | null)[] = [];
  let before = "";
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (char === '"') {
      const start = at++;
      while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
      const keys = open.at(-1);
      // In an object, a string after "{" or "," is a key; one after ":" is a value.
      if (!keys || before === ":") continue;
      const key: string = JSON.parse(text.slice(start, at + 1));
      if (keys.has(key)) return key;
      keys.add(key);
    } else if (char === "{" || char === "[") {
      open.push(char === "{" ? new Set() : null);
      before = char;
    } else if (char === "}" || char === "]") {
      open.pop();
      before = char;
    } else if (char === "," || char === ":") before = char;
  }
  return undefined;
}
