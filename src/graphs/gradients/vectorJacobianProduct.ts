import { UnsupportedError } from "../../errors.js";
import type { GraphBuilder, Value } from "../graphBuilder.js";
import { RULES } from "./rules.js";

/**
 * Appends to a graph the gradient of Σ ⟨cotangent, value⟩ with respect to some of its values (reverse mode: one pass
 * back through the operators between them). The values computed on the way forward are read again, so that the graph's
 * run holds all of them until it ends.
 *
 * @param cotangents value → its cotangent, of the same shape
 * @param inputs feature maps; not values that are broadcast to a larger shape on the way (weights, a time embedding)
 * @returns the gradient of each input, in their order
 * @throws UnsupportedError where an operator on the way has no rule
 */
export function vectorJacobianProduct(
  graph: GraphBuilder,
  cotangents: ReadonlyMap<Value, Value>,
  inputs: readonly Value[],
): readonly (Value | undefined)[] {
  const nodes = [...graph.nodes];
  const active = new Set(inputs);
  for (const node of nodes) {
    // A shape does not depend on the numbers.
    if (node.op !== "Shape" && node.inputs.some((input) => active.has(input)))
      for (const output of node.outputs) active.add(output);
  }
  const gradients = new Map<Value, Value>(cotangents);
  for (const node of nodes.reverse()) {
    const found = node.outputs.map((output) => gradients.get(output));
    if (!node.outputs.some((output) => active.has(output)) || found.every((gradient) => gradient === undefined))
      continue;
    const rule = RULES[node.op];
    if (rule === undefined)
      throw new UnsupportedError(
        `gradients: the operator ${node.op} has no rule (there are ${Object.keys(RULES).join(", ")})`,
      );
    const isActive = (input: number): boolean => active.has(node.inputs[input]);
    rule({ graph, node, cotangents: found, isActive }).forEach((gradient, input) => {
      if (gradient === undefined || !isActive(input)) return;
      const value = node.inputs[input];
      const before = gradients.get(value);
      gradients.set(value, before === undefined ? gradient : graph.node("Add", [before, gradient]));
    });
  }
  return inputs.map((input) => gradients.get(input));
}
