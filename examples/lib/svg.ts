/** SVG as text: elements, text, lines. */

/** Attributes of an element; `undefined` leaves one out. */
export type Attributes = Readonly<Record<string, string | number | undefined>>;

/** A point in pixels. */
export type Point = readonly [x: number, y: number];

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Text as XML writes it. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character]!);
}

/** `<name attributes>children</name>`; children are SVG already. */
export function element(name: string, attributes: Attributes, ...children: readonly string[]): string {
  const written = Object.entries(attributes).filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${escapeXml(typeof value === "number" ? formatPixels(value) : String(value))}"`);
  const start = `<${name}${written.join("")}`;
  return children.length === 0 ? `${start}/>` : `${start}>${children.join("")}</${name}>`;
}

/** A line of text. */
export function text(x: number, y: number, content: string, attributes: Attributes = {}): string {
  return element("text", { x, y, ...attributes }, escapeXml(content));
}

/** A straight line. */
export function segment([x1, y1]: Point, [x2, y2]: Point, attributes: Attributes): string {
  return element("line", { x1, y1, x2, y2, ...attributes });
}

/** A line through points, interrupted where one is not finite. */
export function polyline(points: readonly Point[], attributes: Attributes): string {
  let d = "";
  let pen = "M";
  for (const [x, y] of points) {
    if (!Number.isFinite(x) || !Number.isFinite(y)) {
      pen = "M";
      continue;
    }
    d += `${pen}${formatPixels(x)} ${formatPixels(y)}`;
    pen = "L";
  }
  return element("path", { d, fill: "none", "stroke-linejoin": "round", "stroke-linecap": "round", ...attributes });
}

/** The shapes of markers: they tell series apart where colours do not. */
export type MarkerShape = "circle" | "square" | "triangle" | "diamond" | "cross";

/** A small mark at a point. */
export function marker(shape: MarkerShape, [x, y]: Point, color: string): string {
  const r = 4;
  const polygon = (...corners: Point[]): string => {
    const points = corners.map(([dx, dy]) => `${formatPixels(x + dx)},${formatPixels(y + dy)}`).join(" ");
    return element("polygon", { points, fill: color });
  };
  switch (shape) {
    case "circle":
      return element("circle", { cx: x, cy: y, r, fill: color });
    case "square":
      return element("rect", { x: x - r + 0.5, y: y - r + 0.5, width: 2 * r - 1, height: 2 * r - 1, fill: color });
    case "triangle":
      return polygon([0, -r - 0.5], [r + 0.5, r - 0.5], [-r - 0.5, r - 0.5]);
    case "diamond":
      return polygon([0, -r - 1], [r + 1, 0], [0, r + 1], [-r - 1, 0]);
    case "cross": {
      const d = `M${formatPixels(x - r)} ${formatPixels(y - r)}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`;
      return element("path", { d, stroke: color, "stroke-width": 2, fill: "none" });
    }
  }
}

/** The whole picture, with what screen readers tell. */
export function svgDocument(
  size: { readonly width: number; readonly height: number },
  about: { readonly title: string; readonly description: string },
  ...children: readonly string[]
): string {
  const { width, height } = size;
  return element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "font-family": "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif",
    },
    `\n${element("title", {}, escapeXml(about.title))}\n`,
    `${element("desc", {}, escapeXml(about.description))}\n`,
    element("rect", { width, height, fill: "#ffffff" }),
    `\n${children.join("\n")}\n`,
  ) + "\n";
}

function formatPixels(value: number): string {
  return String(Math.round(value * 100) / 100);
}
