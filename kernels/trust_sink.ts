import { sinkText } from "./scan_sinks.ts";

/**
 * The sink of a damped sweep, after that of an undamped one. What it measures is the larger of the residual and the undamped
 * update s = r + G δ, whatever the damping; a row repeats only where both are zero. A row that is damped is not exact, whatever
 * it follows: there the one before it counts as the last that is known to be.
 */
export const DAMP: readonly string[] = [
  ...sinkText("update").declarations,
  "var<private> replaced: bool;",
  `fn damp(row: u32, at: u32, f: f32, s: f32, x: f32, was: f32, limit: f32) -> f32 {
  if (!isFinite(f)) { lost = min(lost, row); }
  var v = was + x;
  var size = max(abs(f - was), abs(s));
  replaced = !isFinite(f) || !isFinite(v) || abs(v) > limit;
  if (replaced) {
    v = GUESS[P.guessBase + at];
    resets = 1u;
    changed = min(changed, row - 1u);
    size = abs(v - was);
  }
  if (size == 0.0 && v == was) { return v; }
  let scale = P.atol + P.rtol * abs(v);
  worst = max(worst, select(bitcast<u32>(size / scale), 0x7f800000u, scale == 0.0));
  changed = min(changed, row - 1u);
  return v;
}`,
];
