/** Where the elements of a value are to be read. Choices of places are WGSL. */
export type Place =
  /** `name[base + first + stride i]` */
  | {
    readonly kind: "memory";
    readonly name: string;
    readonly base: string;
    readonly first: number;
    readonly stride: number;
    /** Where `test` holds, another place is read. */
    readonly unless?: { readonly test: string; readonly place: Place };
  }
  /** One expression for each element. */
  | { readonly kind: "locals"; readonly texts: readonly string[] }
  /** One expression for all elements. */
  | { readonly kind: "same"; readonly text: string };

/** Memory `name[base + i]`; `base` is the name of an integer variable, or empty. */
export function memory(name: string, base = "", first = 0): Place {
  return { kind: "memory", name, base, first, stride: 1 };
}

/** Element `i` of a place, a number or the text of an integer expression. */
export function read(place: Place, i: number | string): string {
  if (place.kind === "same") return place.text;
  if (place.kind === "locals") return place.texts[Number(i)]!;
  const { name, base, stride } = place;
  let first = place.first;
  let moving = "";
  if (typeof i === "number") first += stride * i;
  else moving = stride === 1 ? i : `${stride} * (${i})`;
  const terms = [base, moving, first === 0 ? "" : String(first)].filter((term) => term !== "");
  const text = `${name}[${terms.join(" + ") || "0"}]`;
  return place.unless === undefined ? text : `select(${text}, ${read(place.unless.place, i)}, ${place.unless.test})`;
}

/** Whether element i may be read with an index known only at run time. */
export const isIndexable = (place: Place): boolean => place.kind !== "locals";
