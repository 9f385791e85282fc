/** The gradients of one block as graphs: from the gradient at its out to those at its inputs. */
import { UnsupportedError } from "../../errors.js";
import { declareInputs, hasMerge } from "../block.js";
import type { Block, BlockInput, MergingBlock, Stage } from "../block.js";
import { GraphBuilder } from "../graphBuilder.js";
import type { Precision, Value } from "../graphBuilder.js";
import { vectorJacobianProduct } from "./vectorJacobianProduct.js";

/** The graphs' input: the gradient with respect to the block's out. */
export const OUT_GRADIENT = "out_gradient";
/** The gradient with respect to C: a merge's result, and what comes in where C is read elsewhere too. */
export const BRANCH_GRADIENT = "C_gradient";

/** The gradient with respect to the input at this place. */
export function inputGradientName(index: number): string {
  return `input_${index}_gradient`;
}

/** The places of the inputs that are feature maps: the block before and the skip connection, not text and time. */
export function featureInputs({ inputs }: Stage): readonly number[] {
  return inputs.flatMap(({ dims }: BlockInput, index) => (dims.length === 4 ? [index] : []));
}

/**
 * From a block's inputs and the gradient at its out, the gradients at its feature-map inputs. The activations in between
 * are computed again, so that of the forward pass only the values between blocks need to be kept.
 *
 * @param isBranchRead whether there is a gradient at C too, besides that through out: C was kept, and read again later
 * @throws UnsupportedError in float16, whose range a normalisation's gradients exceed
 */
export function computeGradientGraph(stage: Stage | Block, precision: Precision, isBranchRead = false): GraphBuilder {
  const graph = builder(`${stage.id} gradient`, precision);
  const inputs = declareInputs(graph, stage);
  const branch = stage.branch(graph, inputs);
  const out = hasMerge(stage) ? stage.merge(graph, inputs, branch) : branch;
  const gradient = graph.input(OUT_GRADIENT, stage.outputDims);
  const cotangents = new Map([[out, gradient]]);
  if (isBranchRead) cotangents.set(branch, graph.input(BRANCH_GRADIENT, stage.outputDims));
  appendGradients(graph, stage, inputs, featureInputs(stage), cotangents);
  return graph;
}

/** Where C is given: from the merge's inputs and the gradient at out, the gradients at C and at the merge's inputs. */
export function mergeGradientGraph(block: MergingBlock, precision: Precision): GraphBuilder {
  const graph = builder(`${block.id} merge gradient`, precision);
  const inputs = declareInputs(graph, block, block.mergeInputs);
  const branch = graph.input("C", block.outputDims);
  const out = block.merge(graph, inputs, branch);
  const cotangents = new Map([[out, graph.input(OUT_GRADIENT, block.outputDims)]]);
  const [atBranch] = vectorJacobianProduct(graph, cotangents, [branch]);
  if (atBranch === undefined) throw new TypeError(`${block.id}: its out does not depend on C`);
  graph.output(BRANCH_GRADIENT, atBranch, block.outputDims);
  appendGradients(graph, block, inputs, block.mergeInputs, cotangents);
  return graph;
}

function builder(name: string, precision: Precision): GraphBuilder {
  if (precision === "float16")
    throw new UnsupportedError(
      'gradients: float16 is not supported (supported: float32) — load with precision: "float32"',
    );
  return new GraphBuilder(name, { precision, fusedAttention: false, diffusionOperators: false, recordsRuns: false });
}

function appendGradients(
  graph: GraphBuilder,
  stage: Stage,
  inputs: readonly Value[],
  which: readonly number[],
  cotangents: ReadonlyMap<Value, Value>,
): void {
  const gradients = vectorJacobianProduct(
    graph,
    cotangents,
    which.map((index) => inputs[index]),
  );
  which.forEach((index, place) => {
    const gradient = gradients[place];
    if (gradient === undefined) throw new TypeError(`${stage.id}: its out does not depend on input ${index}`);
    graph.output(inputGradientName(index), gradient, stage.inputs[index].dims);
  });
}
