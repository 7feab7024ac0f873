/** A value as error messages write it. */
export function describe(value: unknown): string {
  if (typeof value === "string") return `"${value}"`;
  if (typeof value === "function") return "a function";
  if (Array.isArray(value) && value.length === 0) return "an empty list";
  return typeof value === "object" && value !== null
    ? `an object of ${value.constructor?.name ?? "no class"}`
    : String(value);
}

/** What a value is, for error messages: `Null`, `String`, `ArrayBuffer`. */
export function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** Throws a TypeError unless `options` is a record with no other keys than `known`: a misspelt setting is no setting. */
export function checkKeys(context: string, what: string, options: unknown, known: readonly string[]): void {
  if (kindOf(options) !== "Object") {
    throw new TypeError(`${context}: ${what} must be a record, got ${describe(options)}`);
  }
  const unknown = Object.keys(options as object).filter((key) => !known.includes(key));
  if (unknown.length > 0) {
    const may = known.length === 0 ? "must be empty" : `may have ${known.join(", ")}`;
    throw new TypeError(`${context}: ${what} ${may}, got ${unknown.join(", ")}`);
  }
}
