import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { enlarge, toDataUri } from "../../diffusion/image.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { sample } from "../../diffusion/sample.js";
import { planSampling } from "../../diffusion/samplingPlan.js";
import type { PlotlyFigure } from "../../figures/figure.js";
import { pcaStrips } from "../../figures/charts/pcaStrips.js";
import { selectBlocks } from "../../instrument/hooks/blockSelection.js";
import { createCovariance } from "../../instrument/features/covariance.js";
import { projectFeatures, toRgb } from "../../instrument/features/featureMap.js";
import { fitComponents } from "../../instrument/features/pca.js";
import { recordToDisk } from "../../instrument/hooks/recording.js";
import { openSafetensors } from "../../files/safetensors.js";
import type { SafetensorsFile } from "../../files/safetensors.js";
import {
  MODEL,
  UsageError,
  abortOnInterrupt,
  integerList,
  nonNegativeInteger,
  openPipeline,
  positiveInteger,
} from "../command.js";
import { createProgress } from "../progress.js";
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
  return figureCommand(
    "pca",
    "Feature maps of blocks over the steps, first three principal components as colours.",
    'blockcache plot pca fluent-ldm --prompt "red apple" --blocks "up_blocks.*.attentions.2" --out strips.png',
  )
    .argument("<model>", MODEL)
    .requiredOption("--prompt <text>", "what to sample")
    .option("--seed <n>", "seed of the noise", nonNegativeInteger, 0)
    .option("--steps <n>", "num_inference_steps", positiveInteger, 20)
    .option("--at <list>", "0-based network evaluations to show, separated by commas (default: all)", integerList)
    .option("--blocks <patterns>", "block ids and patterns separated by commas", "**.attentions.*")
    .action(async (model: string, options: PcaOptions) => {
      const pipeline = await openPipeline(model, options);
      await writeFigure(await strips(pipeline, options), options);
      await pipeline.dispose();
    });
}

/** Enlarged by this much, the maps are not blurred by viewers. */
const ENLARGEMENT = 4;

async function strips(
  pipeline: Pipeline,
  { prompt, seed, steps: count, at, blocks, theme }: PcaOptions,
): Promise<PlotlyFigure> {
  const sampling = { prompt, seed, steps: count };
  const { timesteps } = planSampling(pipeline, sampling).solver;
  const outside = at?.find((evaluation) => evaluation >= timesteps.length);
  if (outside !== undefined)
    throw new UsageError(`--at: expected network evaluations from 0 to ${timesteps.length - 1}, found ${outside}`);
  const steps = [...new Set(at ?? timesteps.keys())].sort((a, b) => a - b);
  const patterns = blocks.split(",").map((pattern) => pattern.trim());
  const selected = new Set(
    patterns
      .flatMap((pattern) => selectBlocks(pipeline.network.unet, pattern))
      .filter(({ inside }) => inside === undefined)
      .map(({ block }) => block.id),
  );
  if (selected.size === 0)
    throw new UsageError(
      "--blocks: expected layer blocks, found only parts inside spatial transformers, which have tokens instead of feature maps",
    );

  // On disk, because the maps of a large network would fill the memory.
  const folder = await mkdtemp(join(tmpdir(), "blockcache-pca-"));
  try {
    const path = join(folder, "maps.safetensors");
    const predicted = await recorded(pipeline, path, sampling, steps, [...selected]);
    const file = await openSafetensors(path);
    try {
      const rows = [{ label: "predicted image", images: predicted }];
      for (const id of pipeline.network.blocks.map((block) => block.id).filter((each) => selected.has(each)))
        rows.push({ label: id, images: await componentsOf(file, id, steps) });
      return pcaStrips({
        rows,
        steps,
        timesteps: steps.map((step) => timesteps[step]),
        title: "First three principal components of C, one basis per block over all steps",
        theme,
      });
    } finally {
      await file.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Samples while the maps are written to `path`; gives the predicted image at each of the evaluations. */
async function recorded(
  pipeline: Pipeline,
  path: string,
  sampling: { readonly prompt: string; readonly seed: number; readonly steps: number },
  steps: readonly number[],
  blocks: readonly string[],
): Promise<string[]> {
  const recording = await recordToDisk(pipeline, path, sampling, { blocks, steps });
  const progress = createProgress("sampling", "evaluations");
  const predicted: string[] = [];
  try {
    for await (const step of sample(pipeline, { ...sampling, hooks: recording.hooks, signal: abortOnInterrupt() })) {
      if (steps.includes(step.index)) predicted.push(await toDataUri((await step.preview())[0]));
      progress.update(step.index + 1, step.total);
    }
  } catch (error) {
    await recording.abandon();
    throw error;
  } finally {
    progress.stop();
  }
  await recording.close();
  return predicted;
}

/** A block's maps as pictures, all in one basis. */
async function componentsOf(file: SafetensorsFile, id: string, steps: readonly number[]): Promise<string[]> {
  const maps = await Promise.all(steps.map((step) => file.readFloat32(`${id}/${step}`)));
  const covariance = createCovariance(maps[0].dims[1]);
  // Of one image: with guidance the conditional half is the last row.
  const row = maps[0].dims[0] - 1;
  for (const map of maps) covariance.add(map, row);
  const basis = fitComponents(covariance);
  const pictures = toRgb(maps.map((map) => projectFeatures(map, row, basis)));
  return Promise.all(pictures.map(async (picture) => toDataUri(await enlarge(picture, ENLARGEMENT))));
}
