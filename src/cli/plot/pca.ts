import type { Command } from "commander";
import { enlarge, toDataUri } from "../../diffusion/image.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { sample } from "../../diffusion/sample.js";
import { ArgumentError } from "../../errors.js";
import type { PlotlyFigure } from "../../figures/figure.js";
import { pcaStrips } from "../../figures/pcaStrips.js";
import { createCovariance } from "../../instrument/covariance.js";
import { projectFeatures, toRgb } from "../../instrument/featureMap.js";
import { fitComponents } from "../../instrument/pca.js";
import { recordToMemory } from "../../instrument/recording.js";
import { MODEL, abortOnInterrupt, integerList, nonNegativeInteger, openPipeline, positiveInteger } from "../command.js";
import { figureCommand, writeFigure } from "./figureCommand.js";
import type { PlotOptions } from "./figureCommand.js";

interface PcaOptions extends PlotOptions {
  readonly prompt: string;
  readonly seed: number;
  readonly steps: number;
  readonly at?: number[];
  readonly blocks: string;
}

/** `blockcache plot pca` */
export function pcaCommand(): Command {
  return figureCommand("pca", "Feature maps of blocks over the steps, first three principal components as colours.", 'blockcache plot pca fluent-ldm --prompt "red apple" --blocks "up_blocks.*.attentions.2" --out strips.png')
    .argument("<model>", MODEL)
    .requiredOption("--prompt <text>", "")
    .option("--seed <n>", "", nonNegativeInteger, 0)
    .option("--steps <n>", "num_inference_steps", positiveInteger, 20)
    .option("--at <list>", "0-based network evaluations to show, separated by commas (default: all)", integerList)
    .option("--blocks <patterns>", "block ids and patterns separated by commas", "**.attentions.*")
    .action(async (model: string, options: PcaOptions) => {
      const pipeline = await openPipeline(model, options);
      await writeFigure(await strips(pipeline, options), options);
      await pipeline.dispose();
    });
}

/** Enlarged so much that viewers do not blur them. */
const ENLARGEMENT = 4;

async function strips(pipeline: Pipeline, options: PcaOptions): Promise<PlotlyFigure> {
  const blocks = options.blocks.split(",").map((pattern) => pattern.trim());
  const recording = recordToMemory({ blocks, steps: options.at });
  const steps: number[] = [];
  const timesteps: number[] = [];
  const predicted: string[] = [];
  let rows = 1;
  let evaluations = 0;
  for await (const step of sample(pipeline, { prompt: options.prompt, seed: options.seed, steps: options.steps, hooks: recording.hooks, signal: abortOnInterrupt() })) {
    evaluations = step.total;
    if (options.at !== undefined && !options.at.includes(step.index)) continue;
    steps.push(step.index);
    timesteps.push(step.timestep);
    predicted.push(await toDataUri((await step.preview())[0]));
    rows = step.latents.dims[0];
  }
  if (steps.length === 0) throw new ArgumentError(`--at: expected network evaluations from 0 to ${evaluations - 1}, found ${options.at?.join(",")}`);
  const ids = pipeline.network.blocks.map(({ id }) => id).filter((id) => recording.get(id, steps[0]) !== undefined);
  if (ids.length === 0) throw new ArgumentError("--blocks: expected layer blocks, found only parts inside of spatial transformers, which have tokens instead of feature maps");
  const strip = async (id: string): Promise<{ label: string; images: string[] }> => {
    const maps = steps.flatMap((step) => recording.get(id, step) ?? []);
    const covariance = createCovariance(maps[0].dims[1]);
    // With guidance the conditional half is the second one.
    const row = maps[0].dims[0] - rows;
    for (const map of maps) covariance.add(map, row);
    const basis = fitComponents(covariance);
    const pictures = toRgb(maps.map((map) => projectFeatures(map, row, basis)));
    return { label: id, images: await Promise.all(pictures.map(async (picture) => toDataUri(await enlarge(picture, ENLARGEMENT)))) };
  };
  const feature = await Promise.all(ids.map(strip));
  return pcaStrips({ rows: [{ label: "predicted image", images: predicted }, ...feature], steps, timesteps, title: "First three principal components of C, one basis a block over all steps", theme: options.theme });
}
