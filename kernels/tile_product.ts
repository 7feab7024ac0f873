/** Rows of four columns of an n × (n + 1) product of affine maps in workgroup memory: `product[i across + column / 4]`. */
export interface TileProduct {
  readonly size: number;
  /** Invocations of the workgroup. */
  readonly lanes: number;
}

const range = (count: number): number[] => Array.from({ length: count }, (_, k) => k);

/** Column tiles of a row. */
export function tilesAcross(n: number): number {
  return Math.ceil((n + 1) / 4);
}

/** Tiles that fall to each invocation. */
export function tileItems({ size, lanes }: TileProduct): number {
  return Math.ceil(size * tilesAcross(size) / lanes);
}

/** Turns of an invocation for each factor; the test that ends a loop is one. */
export function tileProductTurns(product: TileProduct): number {
  return tileItems(product) * (Math.floor(product.size / 4) + 1);
}

/** The distance of rows of the factor: odd, so that they fall into different banks. */
export function factorStride(n: number): number {
  return n % 2 === 0 ? n + 1 : n;
}

/** Words of workgroup memory of the product, its factor and its vector. */
export function tileProductWords(n: number): number {
  return 4 * n * tilesAcross(n) + n * factorStride(n) + n;
}

export function declareTileProduct({ size: n }: TileProduct): string[] {
  return [
    `var<workgroup> factor: array<f32, ${n * factorStride(n)}>;`,
    `var<workgroup> added: array<f32, ${n}>;`,
    `var<workgroup> product: array<vec4<f32>, ${n * tilesAcross(n)}>;`,
  ];
}

/** The statements of tile k of this invocation, which has the row `i`, the columns from `column` on and the number `e`. */
function forTile({ size: n, lanes }: TileProduct, k: number, body: readonly string[]): string[] {
  const across = tilesAcross(n);
  const whole = (k + 1) * lanes <= n * across;
  return [
    whole ? "{" : `if (lane + ${k * lanes}u < ${n * across}u) {`,
    `let e = lane + ${k * lanes}u; let i = e / ${across}u; let column = 4u * (e % ${across}u);`,
    ...body,
    "}",
  ];
}

const four = (value: (column: string) => string): string =>
  `vec4<f32>(${range(4).map((k) => value(`column + ${k}u`)).join(", ")})`;

/** Begins with the identity, or where `diagonal` is zero with nothing. */
export function beginTileProduct(product: TileProduct, diagonal: string): string[] {
  return range(tileItems(product)).flatMap((k) =>
    forTile(product, k, [`product[e] = ${four((column) => `select(0.0, ${diagonal}, ${column} == i)`)};`])
  );
}

/** A loop over j < n in turns of four, the rest unrolled. */
export function overColumns(n: number, emit: (j: string) => string): string[] {
  const whole = Math.floor(n / 4) * 4;
  return [
    ...(whole === 0 ? [] : [
      `for (var j = 0u; j < ${whole}u; j += 4u) {`,
      ...range(4).map((k) => emit(`(j + ${k}u)`)),
      "}",
    ]),
    ...range(n - whole).map((k) => emit(`${whole + k}u`)),
  ];
}

/**
 * The product becomes `factor · product`, plus `added` in its last column: new values stay in registers until all have
 * read the old. `term(j)` adds `factor[i, j] · product[j]` to `sum`.
 */
export function stepTileProduct(
  product: TileProduct,
  term: (j: string, sum: string) => string,
): string[] {
  const n = product.size;
  const items = range(tileItems(product));
  return [
    ...items.flatMap((k) => [
      `var sum${k} = vec4<f32>();`,
      ...forTile(product, k, [
        "let tile = column / 4u;",
        ...overColumns(n, (j) => term(j, `sum${k}`)),
        `sum${k} += ${four((column) => `select(0.0, added[i], ${column} == ${n}u)`)};`,
      ]),
    ]),
    "workgroupBarrier();",
    ...items.flatMap((k) => forTile(product, k, [`product[e] = sum${k};`])),
  ];
}

/** Writes matrix and vector to `AGG` from word `to` on. */
export function storeTileProduct(product: TileProduct, to: string): string[] {
  const n = product.size;
  return range(tileItems(product)).flatMap((k) =>
    forTile(
      product,
      k,
      range(4).map((j) => {
        const value = `product[e].${"xyzw"[j]}`;
        return `if (column + ${j}u < ${n}u) { AGG[${to} + i * ${n}u + column + ${j}u] = ${value}; } ` +
          `else if (column + ${j}u == ${n}u) { AGG[${to} + ${n * n}u + i] = ${value}; }`;
      }),
    )
  );
}
