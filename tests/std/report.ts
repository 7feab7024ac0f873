/** Whether a report is whole, and tells of tests of which none failed. */
export function isPassed(report: string): boolean {
  const totals = /<testsuites name="deno test" tests="([1-9]\d*)" failures="0" errors="0"/.test(report);
  return totals && report.trimEnd().endsWith("</testsuites>");
}
