/** A value as error messages write it. */
export function describe(value: unknown): string {
  if (typeof value === "string") return `"${value}"`;
  return typeof value === "object" && value !== null
    ? `an object of ${value.constructor?.name ?? "no class"}`
    : String(value);
}

/** What a value is, for error messages: `Null`, `String`, `ArrayBuffer`. */
export function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}
