/**
 * Functions over rows that reach every way of a map through an engine, and the same in plain numbers. Their kernels are
 * compiled in pages too: nothing here may name `Deno` or import `@std`.
 */

import type { RowCase } from "./map_case.ts";
import { ELEMENT_CASES, many } from "./map_case_elements.ts";
import { PRODUCT_CASES } from "./map_case_products.ts";
import { MIXING_CASES } from "./map_case_rows.ts";

export const ROW_CASES: readonly RowCase[] = [
  ...ELEMENT_CASES,
  many("nine inputs and six outputs", false),
  many("nine inputs and six outputs that mix", true),
  ...MIXING_CASES,
  ...PRODUCT_CASES,
];
