/**
 * What takes the place of C where a branch does not run, and the graph that makes the block's output of it in one
 * operation with the residual:
 *
 *   out = merge(x, Σₖ weightₖ ⊙ Cₖ + shift)
 */
import { declareInputs, hasMerge, outputElementType } from "../../graphs/block.js";
import type { Block } from "../../graphs/block.js";
import { GraphBuilder } from "../../graphs/graphBuilder.js";
import type { GraphTarget, Value } from "../../graphs/graphBuilder.js";
import type { Tensor } from "../tensor.js";

/** A weighted sum of values of C computed before. */
export interface StandIn {
  readonly terms: readonly StandInTerm[];
  /** added to the sum, a number for each channel */
  readonly shift?: Float32Array;
}

export interface StandInTerm {
  readonly tensor: Tensor;
  /** one number, or one for each channel */
  readonly weight: number | Float32Array;
}

/** What a stand-in's graph depends on: stand-ins of one form share it. */
export interface StandInForm {
  readonly terms: number;
  /** not: the one term stands in as it is */
  readonly weighted: boolean;
  readonly shifted: boolean;
}

/** Names of the graph's inputs. */
export const STAND_IN = {
  term: (index: number): string => `C_${index}`,
  weight: (index: number): string => `weight_${index}`,
  shift: "shift",
} as const;

export function formOf({ terms, shift }: StandIn): StandInForm {
  return { terms: terms.length, weighted: terms.length > 1 || terms[0].weight !== 1, shifted: shift !== undefined };
}

/** Whether the stand-in is one kept value, unchanged. */
export function isPlain({ terms, weighted, shifted }: StandInForm): boolean {
  return terms === 1 && !weighted && !shifted;
}

/** Dims under which `count` numbers, one or one a channel, broadcast over a block's C. */
export function channelDims({ outputDims }: Block, count: number): readonly number[] {
  // Feature maps [batch, channels, height, width]; tokens [batch, tokens, channels] inside a transformer.
  return outputDims.length === 4 ? [count, 1, 1] : [count];
}

/** out from the merge's inputs and the terms; of a block without a residual, the sum alone. */
export function standInGraph(
  block: Block,
  { terms, weighted, shifted }: StandInForm,
  target: GraphTarget,
  output: string,
): GraphBuilder {
  const graph = new GraphBuilder(`${block.id} reused`, target);
  const elementType = outputElementType(block, target.precision);
  const inputs = hasMerge(block) ? declareInputs(graph, block, block.mergeInputs) : [];
  const broadcast = (name: string): Value => {
    const dims = channelDims(block, 1).map((size, axis) => (axis === 0 ? `${name} channels` : size));
    return graph.input(name, dims, elementType);
  };
  const values = Array.from({ length: terms }, (_, index) => {
    const term = graph.input(STAND_IN.term(index), block.outputDims, elementType);
    return weighted ? graph.node("Mul", [term, broadcast(STAND_IN.weight(index))]) : term;
  });
  // Not by Sum: onnxruntime 1.30 has no such kernel for webgpu, and would add up on the host.
  const sum = values.reduce((total, value) => graph.node("Add", [total, value]));
  const branch = shifted ? graph.node("Add", [sum, broadcast(STAND_IN.shift)]) : sum;
  graph.output(output, hasMerge(block) ? block.merge(graph, inputs, branch) : branch, block.outputDims, elementType);
  return graph;
}
