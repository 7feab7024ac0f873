import { concat, reshape, slice } from "../trace/build.ts";
import { substitute } from "../trace/differentiate.ts";
import { analyseStep, type StepProgram } from "../trace/program.ts";
import type { RowProgram } from "../trace/rows.ts";

const steps = new WeakMap<RowProgram, StepProgram>();

/**
 * An operator as a recurrence, `h' = h ∘ x`: state and input are elements, their arrays one after the other. Made at first use
 * and kept as long as the operator.
 */
export function operatorStep(program: RowProgram): StepProgram {
  let known = steps.get(program);
  if (known === undefined) steps.set(program, known = makeStep(program));
  return known;
}

/** Words of an element. */
export function elementWords({ outputs }: RowProgram): number {
  return outputs.reduce((words, { node }) => words + node.size, 0);
}

function makeStep(program: RowProgram): StepProgram {
  const { name, trace, params, inputs, outputs, t } = program;
  const words = elementWords(program);
  return trace.run(() => {
    const [h, x] = [trace.leaf("h", [words]), trace.leaf("x", [words])];
    let output = concat(outputs.map(({ node }) => reshape(node, [node.size])));
    let offset = 0;
    for (const [k, { leaf, shape }] of inputs.entries()) {
      // The leaves of the earlier element come first, then those of the later.
      const part = slice(k < outputs.length ? h : x, offset % words, leaf.size);
      output = substitute(output, leaf, reshape(part, shape), trace);
      offset += leaf.size;
    }
    const delta = trace.leaf("delta", [words]);
    return analyseStep({ name, trace, state: words, input: words, params, h, x, t, output, delta });
  });
}
