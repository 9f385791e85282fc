/**
 * The central idea: a network is a list of blocks, and a block is a branch and a merge.
 *
 *   C   = branch(inputs)          what is hooked, measured and cached
 *   out = merge(inputs, C)        the residual, always computed afresh; absent where out = C
 */
import type { GraphBuilder, Precision, Value } from "./graphBuilder.js";
import type { Dimension, ElementType } from "./onnx.js";

/** The kinds of layer block that can be hooked, measured and cached. */
export type BlockKind =
  | "conv_in"
  | "conv_out"
  | "resnet"
  | "transformer"
  | "downsampler"
  | "upsampler"
  /** inside a spatial transformer, only where asked for: */
  | "attn1"
  | "attn2"
  | "ff";

/** Height and width of feature maps. */
export interface Extent {
  readonly height: number;
  readonly width: number;
}

/** A value that flows between blocks: the network's own inputs, or a block's output under the block's id. */
export interface BlockInput {
  readonly value: string;
  readonly dims: readonly Dimension[];
  /** the network's precision where absent */
  readonly elementType?: ElementType;
}

/** One step of the network's forward pass, compiled to a session of its own. */
export interface Stage {
  /** diffusers module path */
  readonly id: string;
  readonly inputs: readonly BlockInput[];
  /** dims of the result, which other stages read under this stage's id */
  readonly outputDims: readonly Dimension[];
  /** the element type of the result where it is not the network's precision */
  readonly outputType?: ElementType;
  /** C, from the inputs in their order */
  branch(graph: GraphBuilder, inputs: readonly Value[]): Value;
}

/** A layer block: a stage that can be hooked, measured and cached. */
export interface Block extends Stage {
  readonly kind: BlockKind;
  /** out from the inputs and C; absent where out = C */
  merge?(graph: GraphBuilder, inputs: readonly Value[], branch: Value): Value;
  /** which of the inputs `merge` reads */
  readonly mergeInputs: readonly number[];
  /** channels of C; width of the tokens inside a transformer */
  readonly channels: number;
  /** extent of C, given the latents' */
  extent(latents: Extent): Extent;
  /** multiply-adds of one batch row, given the latents' extent and the number of context tokens */
  multiplyAdds(latents: Extent, contextTokens: number): number;
  /** of attn1 and attn2 */
  readonly attention?: BlockAttention;
  /** The same computation in finer stages, so that what is inside can be hooked; the last has this block's id. */
  readonly parts?: readonly (Stage | Block)[];
}

/** What an attention's queries, the pixels, attend to. */
export interface BlockAttention {
  readonly to: "pixels" | "text";
  /**
   * The mean over heads of the attention's weights: [batch, queries, keys], each row with sum 1.
   *
   * @param inputs the block's
   * @param queries int64 [queries]: the pixels, row by row from the top left, whose weights are asked for
   */
  weights(graph: GraphBuilder, inputs: readonly Value[], queries: Value): Value;
}

export function isBlock(stage: Stage | Block): stage is Block {
  return "kind" in stage;
}

/** Names of a block's results in its graph. */
export const BRANCH = "C";
export const OUT = "out";

/** Declares a stage's inputs in a graph; only those of `which` where given. */
export function declareInputs(graph: GraphBuilder, stage: Stage, which?: readonly number[]): Value[] {
  return stage.inputs.map((input, index) =>
    which === undefined || which.includes(index)
      ? graph.input(`input_${index}`, input.dims, input.elementType ?? graph.precision)
      : "",
  );
}

/** A block whose out differs from its C. */
export type MergingBlock = Block & Required<Pick<Block, "merge">>;

export function hasMerge(stage: Stage | Block): stage is MergingBlock {
  return isBlock(stage) && stage.merge !== undefined;
}

/** The values that a block reads where its C is given: those of the residual. */
export function mergeReads(block: Block): readonly string[] {
  return hasMerge(block) ? block.mergeInputs.map((index) => block.inputs[index].value) : [];
}

/** The element type of a stage's result in a network of this precision. */
export function outputElementType(stage: Stage, precision: Precision): ElementType {
  return stage.outputType ?? precision;
}
