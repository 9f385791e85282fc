/**
 * What takes the place of C where a branch does not run, and the graph that turns it into the block's output, together
 * with the residual:
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
  /** added to the sum: a number for each channel, or for each row and channel */
  readonly shift?: Float32Array;
}

export interface StandInTerm {
  readonly tensor: Tensor;
  /** one number, or one for each channel, or for each row and channel */
  readonly weight: number | Float32Array;
}

/** What a stand-in's graph depends on: stand-ins of one form share it. */
export interface StandInForm {
  /** whether it gives the block's output; otherwise only the sum */
  readonly merges: boolean;
  readonly terms: number;
  /** whether terms are multiplied; otherwise the one term stands in as it is */
  readonly weighted: boolean;
  readonly shifted: boolean;
}

/** Names of the graph's inputs. */
export const STAND_IN = {
  term: (index: number): string => `C_${index}`,
  weight: (index: number): string => `weight_${index}`,
  shift: "shift",
} as const;

export function formOf({ terms, shift }: StandIn, merges: boolean): StandInForm {
  return {
    merges,
    terms: terms.length,
    weighted: terms.length > 1 || terms[0].weight !== 1,
    shifted: shift !== undefined,
  };
}

/** Whether the stand-in is one kept value, unchanged, so that no graph needs to run. */
export function isPlain({ merges, terms, weighted, shifted }: StandInForm): boolean {
  return !merges && terms === 1 && !weighted && !shifted;
}

/** Dims with which one number, or one per channel, or one per row and channel, broadcasts over a block's C. */
export function broadcastDims({ outputDims, channels }: Block, count: number): readonly number[] {
  const [rows, width] = count === 1 ? [1, 1] : [count / channels, channels];
  // Feature maps [batch, channels, height, width]; tokens [batch, tokens, channels] inside a transformer.
  return outputDims.length === 4 ? [rows, width, 1, 1] : [rows, 1, width];
}

/** Gives out from the merge's inputs and the terms, or only the sum of the terms. */
export function standInGraph(
  block: Block,
  { merges, terms, weighted, shifted }: StandInForm,
  target: GraphTarget,
  output: string,
): GraphBuilder {
  const graph = new GraphBuilder(`${block.id} reused`, target);
  graph.allowRepeating();
  const elementType = outputElementType(block, target.precision);
  const inputs = merges ? declareInputs(graph, block, block.mergeInputs) : [];
  const broadcast = (name: string): Value => {
    const [rows, width] = [`${name} rows`, `${name} channels`];
    return graph.input(name, block.outputDims.length === 4 ? [rows, width, 1, 1] : [rows, 1, width], elementType);
  };
  const values = Array.from({ length: terms }, (_, index) => {
    const term = graph.input(STAND_IN.term(index), block.outputDims, elementType);
    return weighted ? graph.node("Mul", [term, broadcast(STAND_IN.weight(index))]) : term;
  });
  // Not with Sum: onnxruntime 1.30 has no such kernel for webgpu, and would add up on the host.
  const sum = values.reduce((total, value) => graph.node("Add", [total, value]));
  const branch = shifted ? graph.node("Add", [sum, broadcast(STAND_IN.shift)]) : sum;
  graph.output(
    output,
    merges && hasMerge(block) ? block.merge(graph, inputs, branch) : branch,
    block.outputDims,
    elementType,
  );
  return graph;
}
