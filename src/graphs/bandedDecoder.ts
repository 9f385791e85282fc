/**
 * The decoder of an autoencoder for images too large to decode whole: everything after the mid block as steps of
 * one convolution each, which run over bands of rows. Independent tiles show seams because each normalises by itself;
 * here a step's GroupNorm takes the statistics of the whole image, so that bands give what the whole would.
 */
import type { AutoencoderConfig } from "../models/configs/autoencoder.js";
import { AUTOENCODER_EPSILON } from "./autoencoder.js";
import { GraphBuilder } from "./graphBuilder.js";
import type { GraphTarget } from "./graphBuilder.js";
import { activation, conv2d, doubleNearest } from "./layers.js";
import type { Activation } from "./layers.js";

/**
 * y = conv(act(norm(x))) + shortcut(residual), or conv(x doubled in size); the kernel is 3×3, so that a band reads one
 * more row each way
 */
export interface BandStep {
  readonly conv: string;
  readonly inChannels: number;
  readonly outChannels: number;
  /** absent: the input is enlarged instead */
  readonly norm?: { readonly name: string; readonly activation: Activation };
  /** the input is the residual of the next step that adds one */
  readonly opensResidual?: boolean;
  readonly residual?: { readonly channels: number; readonly shortcut?: string };
}

/** The steps from the mid block's output to pixels. */
export function decoderSteps(config: AutoencoderConfig): readonly BandStep[] {
  const { act_fn } = config;
  const levels = [...config.block_out_channels].reverse();
  const steps: BandStep[] = [];
  let channels = levels[0];
  levels.forEach((outChannels, level) => {
    const block = `decoder.up_blocks.${level}`;
    for (let layer = 0; layer <= config.layers_per_block; layer++) {
      const name = `${block}.resnets.${layer}`;
      const shortcut = channels === outChannels ? undefined : `${name}.conv_shortcut`;
      steps.push({
        conv: `${name}.conv1`,
        inChannels: channels,
        outChannels,
        norm: { name: `${name}.norm1`, activation: act_fn },
        opensResidual: true,
      });
      steps.push({
        conv: `${name}.conv2`,
        inChannels: outChannels,
        outChannels,
        norm: { name: `${name}.norm2`, activation: act_fn },
        residual: { channels, shortcut },
      });
      channels = outChannels;
    }
    if (level < levels.length - 1)
      steps.push({ conv: `${block}.upsamplers.0.conv`, inChannels: channels, outChannels: channels });
  });
  // Decoder builds its last activation as nn.SiLU, whatever act_fn says.
  steps.push({
    conv: "decoder.conv_out",
    inChannels: channels,
    outChannels: config.out_channels,
    norm: { name: "decoder.conv_norm_out", activation: "silu" },
  });
  return steps;
}

/** The names of a step's inputs. */
export const BAND_INPUTS = {
  /** rows of the input with those above and below that the kernel reads [1, channels, rows, width] */
  x: "x",
  /** int64 [8], ONNX's Pad: zero rows at the image's edge; negative to cut off surplus enlarged rows */
  pads: "pads",
  /** statistics of each channel's group over the whole image [channels] */
  mean: "mean",
  variance: "variance",
  /** rows of the residual, without those around */
  residual: "residual",
} as const;

/** One step over one band. */
export function bandGraph(step: BandStep, target: GraphTarget): GraphBuilder {
  const { conv, inChannels, outChannels, norm, residual } = step;
  const graph = new GraphBuilder(`band of ${conv}`, { ...target, precision: "float32" });
  let hidden = graph.input(BAND_INPUTS.x, [1, inChannels, "rows", "width"]);
  if (norm === undefined) {
    hidden = doubleNearest(graph, hidden);
  } else {
    const [mean, variance] = [BAND_INPUTS.mean, BAND_INPUTS.variance].map((name) => graph.input(name, [inChannels]));
    const affine = [graph.weight(`${norm.name}.weight`, [inChannels]), graph.weight(`${norm.name}.bias`, [inChannels])];
    hidden = graph.node("BatchNormalization", [hidden, ...affine, mean, variance], { epsilon: AUTOENCODER_EPSILON });
    hidden = activation(graph, hidden, norm.activation);
  }
  hidden = graph.node("Pad", [hidden, graph.input(BAND_INPUTS.pads, [8], "int64")]);
  // Rows are padded above; columns here.
  hidden = conv2d(graph, hidden, conv, inChannels, outChannels, { kernel: 3, padding: [0, 1, 0, 1] });
  if (residual !== undefined) {
    const kept = graph.input(BAND_INPUTS.residual, [1, residual.channels, "out_rows", "width"]);
    const added =
      residual.shortcut === undefined
        ? kept
        : conv2d(graph, kept, residual.shortcut, residual.channels, outChannels, { kernel: 1 });
    hidden = graph.node("Add", [hidden, added]);
  }
  graph.output("y", hidden, [1, outChannels, "out_rows", "out_width"]);
  return graph;
}
