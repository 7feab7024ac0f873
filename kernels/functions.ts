/**
 * WGSL of the functions that kernels use. Compilers may assume that there is no NaN, and drivers differ in how they treat
 * one, so finiteness is read from the bits, and what must not swallow a NaN passes it on by `select`.
 */
const FUNCTIONS = {
  isNan: {
    uses: [],
    code: "fn isNan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }",
  },
  isFinite: {
    uses: [],
    code: "fn isFinite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }",
  },
  // No constant expression may be NaN.
  nanOf: {
    uses: [],
    code: "fn nanOf(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) | 0x7fc00000u); }",
  },
  // Beyond 15 it is 1 in f32, and SwiftShader answers NaN for large arguments; below 0.3 the exponential cancels.
  tanhOf: {
    uses: ["isNan"],
    code: `fn tanhOf(x: f32) -> f32 {
  let s = x * x;
  let near = x + x * s * (-0.3333333333 + s * (0.1333333333 + s * (-0.0539682540 + s * (0.0218694885 - s * 0.0088632355))));
  let far = sign(x) * (1.0 - 2.0 / (exp(2.0 * min(abs(x), 15.0)) + 1.0));
  return select(select(far, near, s < 0.09), x, isNan(x));
}`,
  },
  // Clamped where the exponential would overflow: division by infinity is not defined in WGSL.
  sigmoidOf: {
    uses: ["isNan"],
    code: `fn sigmoidOf(x: f32) -> f32 {
  return select(1.0 / (1.0 + exp(min(-x, 87.0))), x, isNan(x));
}`,
  },
  softplusOf: {
    uses: ["isNan"],
    code: `fn softplusOf(x: f32) -> f32 {
  let e = exp(-abs(x));
  let tail = select(log(1.0 + e), e * (1.0 - e * (0.5 - e * 0.3333333333)), e < 0.01);
  return select(max(x, 0.0) + tail, x, isNan(x));
}`,
  },
  // What they are outside of where they are defined WGSL leaves open: SwiftShader answers log(-1) = 0, log(NaN) = 89.
  logOf: {
    uses: ["isNan", "nanOf"],
    code: `fn logOf(x: f32) -> f32 {
  let y = select(log(x), nanOf(x), x < 0.0 || isNan(x));
  return select(y, -1.0 / abs(x), x == 0.0);
}`,
  },
  expOf: {
    uses: ["isNan"],
    code: "fn expOf(x: f32) -> f32 { return select(exp(x), x, isNan(x)); }",
  },
  signOf: {
    uses: ["isNan"],
    code: "fn signOf(x: f32) -> f32 { return select(sign(x), x, isNan(x)); }",
  },
  maxOf: {
    uses: ["isNan"],
    code: "fn maxOf(a: f32, b: f32) -> f32 { return select(max(a, b), a + b, isNan(a) || isNan(b)); }",
  },
  minOf: {
    uses: ["isNan"],
    code: "fn minOf(a: f32, b: f32) -> f32 { return select(min(a, b), a + b, isNan(a) || isNan(b)); }",
  },
  // WGSL's pow has no value for negative bases.
  powOf: {
    uses: ["isNan", "nanOf"],
    code: `fn powOf(a: f32, b: f32) -> f32 {
  if (b == 0.0) { return 1.0; }
  if (b == 1.0) { return a; }
  if (b == 2.0) { return a * a; }
  if (isNan(a) || isNan(b)) { return a + b; }
  if (a == 0.0) { return select(0.0, 1.0 / abs(a), b < 0.0); }
  let size = pow(abs(a), b);
  if (a > 0.0) { return size; }
  if (floor(b) != b) { return nanOf(a); }
  return select(size, -size, abs(b - 2.0 * floor(0.5 * b)) == 1.0);
}`,
  },
  // The upper word of a product of two words.
  mulHigh: {
    uses: [],
    code: `fn mulHigh(a: u32, b: u32) -> u32 {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u);
}`,
  },
  // Payne and Hanek 1983: x = m 2^e times those bits of 2 / pi that do not give multiples of 4; what is left of x, in radians, and q.
  reduceLarge: {
    uses: ["mulHigh"],
    code: `fn reduceLarge(x: f32) -> vec2<f32> {
  var bits = array<u32, 9>(0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu, 0xdebbc561u);
  let m = (bitcast<u32>(x) & 0x7fffffu) | 0x800000u;
  let first = ((bitcast<u32>(x) >> 23u) & 0xffu) - 120u;
  let i = first >> 5u;
  let s = first & 31u;
  let w0 = (bits[i] << s) | select(0u, bits[i + 1u] >> (32u - s), s > 0u);
  let w1 = (bits[i + 1u] << s) | select(0u, bits[i + 2u] >> (32u - s), s > 0u);
  let w2 = (bits[i + 2u] << s) | select(0u, bits[i + 3u] >> (32u - s), s > 0u);
  let low = mulHigh(m, w2);
  let middle = m * w1 + low;
  let high = m * w0 + mulHigh(m, w1) + u32(middle < low);
  let q = (high + 0x20000000u) >> 30u;
  let rest = f32(bitcast<i32>(high - (q << 30u))) * 9.313225746154785e-10 + f32(middle) * 2.168404344971009e-19;
  let r = rest * 1.5707963268;
  return select(vec2<f32>(r, f32(q)), vec2<f32>(-r, -f32(q)), x < 0.0);
}`,
  },
  // Drivers' sin and cos are good to 2^-11 only by their contract: reduction by pi / 2 in three parts, then polynomials.
  turn: {
    uses: ["reduceLarge"],
    code: `fn turn(x: f32, quarters: f32) -> f32 {
  var k = round(x * 0.6366197724);
  var r = ((x - k * 1.5703125) - k * 4.837512969970703e-4) - k * 7.549789948768648e-8;
  if (abs(x) > 16384.0) {
    let large = reduceLarge(x);
    r = large.x;
    k = large.y;
  }
  let s = r * r;
  let sine = r + r * s * (-0.1666665461 + s * (0.0083321609 - s * 0.0001951529));
  let cosine = 1.0 - 0.5 * s + s * s * (0.0416666457 + s * (-0.0013887316 + s * 0.0000244332));
  let q = i32(k + quarters) & 3;
  let size = select(sine, cosine, (q & 1) == 1);
  return select(size, -size, q >= 2);
}`,
  },
  sinOf: {
    uses: ["isFinite", "nanOf", "turn"],
    code: "fn sinOf(x: f32) -> f32 { return select(nanOf(x), turn(x, 0.0), isFinite(x)); }",
  },
  cosOf: {
    uses: ["isFinite", "nanOf", "turn"],
    code: "fn cosOf(x: f32) -> f32 { return select(nanOf(x), turn(x, 1.0), isFinite(x)); }",
  },
} as const satisfies Record<string, { readonly uses: readonly string[]; readonly code: string }>;

/** The functions that `text` calls, and those that they call, as declarations. */
export function functionsOf(text: string): string[] {
  const found = new Set<keyof typeof FUNCTIONS>();
  const visit = (name: keyof typeof FUNCTIONS): void => {
    if (found.has(name)) return;
    FUNCTIONS[name].uses.forEach((used) => visit(used));
    found.add(name);
  };
  for (const name of Object.keys(FUNCTIONS) as (keyof typeof FUNCTIONS)[]) {
    if (new RegExp(`\\b${name}\\(`).test(text)) visit(name);
  }
  return [...found].map((name) => FUNCTIONS[name].code);
}
