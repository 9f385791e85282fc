import type { Command } from "commander";
import { Option } from "commander";
import { ArgumentError } from "../errors.js";
import { toDataUri, enlarge } from "../diffusion/image.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { sample } from "../diffusion/sample.js";
import { loadSchedule } from "../caching/schedule.js";
import { blockMapChart } from "../figures/blockMapChart.js";
import { changeCurves } from "../figures/changeCurves.js";
import { changeHeatMap } from "../figures/changeHeatMap.js";
import { exportFigure } from "../figures/export.js";
import type { PlotlyFigure } from "../figures/figure.js";
import { pcaStrips } from "../figures/pcaStrips.js";
import { scheduleChart } from "../figures/scheduleChart.js";
import type { Theme } from "../figures/theme.js";
import type { BlockKind } from "../graphs/block.js";
import { blockMap, timeBlocks } from "../instrument/blockMap.js";
import { createCovariance } from "../instrument/covariance.js";
import { projectFeatures, toRgb } from "../instrument/featureMap.js";
import { fitComponents } from "../instrument/pca.js";
import { loadProfile } from "../instrument/profileFile.js";
import { MEASURES } from "../instrument/profile.js";
import type { Measure } from "../instrument/profile.js";
import { recordToMemory } from "../instrument/recording.js";
import { MODEL, abortOnInterrupt, command, integerList, nonNegativeInteger, openPipeline, positiveInteger, print } from "./command.js";
import type { CommonOptions } from "./command.js";
import { kindsOption } from "./kinds.js";

interface PlotOptions extends CommonOptions {
  readonly out: string[];
  readonly theme: Theme;
}

interface ChangeOptions extends PlotOptions {
  readonly measure: Measure;
  readonly kinds?: BlockKind[];
}

interface PcaOptions extends PlotOptions {
  readonly prompt: string;
  readonly seed: number;
  readonly steps: number;
  readonly at?: number[];
  readonly blocks: string;
}

/** `blockcache plot`: figures as .html, .svg, .png, .pdf or .json, by the ending of --out. */
export function plotCommand(): Command {
  const plot = command("plot", "Draw a figure: change, heat-map, schedule, block-map or pca.", "blockcache plot change profile.safetensors --out curves.html curves.pdf");
  const figureCommand = (usage: string, description: string, example: string): Command =>
    command(usage, description, example)
      .requiredOption("--out <files...>", "files to write; the ending says how: .html, .svg, .png, .pdf, .json")
      .addOption(new Option("--theme <name>", "").choices(["light", "dark", "print"]).default("light"));

  for (const [name, draw, what] of [["change", changeCurves, "change curves, a panel a resolution"], ["heat-map", changeHeatMap, "mean change, block × step"]] as const) {
    plot.addCommand(
      figureCommand(name, `From a profile: ${what}.`, `blockcache plot ${name} profile.safetensors --out ${name}.pdf --theme print`)
        .argument("<profile>", "what `blockcache profile` wrote")
        .addOption(new Option("--measure <name>", "").choices(MEASURES).default("change"))
        .addOption(kindsOption("only these kinds of block"))
        .action(async (path: string, options: ChangeOptions) => {
          const profile = await loadProfile(path);
          const kept = { ...profile, blocks: profile.blocks.filter(({ kind }) => options.kinds?.includes(kind) ?? true) };
          await write(draw(kept, { measure: options.measure, theme: options.theme }), options);
        }),
    );
  }

  plot.addCommand(
    figureCommand("schedule", "From a schedule: when each block computes, and how long its cache lives (the paper's Figure 4).", "blockcache plot schedule schedule.json --out schedule.png")
      .argument("<schedule>", "what `blockcache schedule` wrote")
      .action(async (path: string, options: PlotOptions) => write(scheduleChart(await loadSchedule(path), { theme: options.theme }), options)),
  );

  plot.addCommand(
    figureCommand("block-map", "A drawing of the UNet with each block's share of time.", "blockcache plot block-map fluent-ldm --out map.png")
      .argument("<model>", MODEL)
      .action(async (model: string, options: PlotOptions) => {
        const pipeline = await openPipeline(model, options);
        const seconds = await timeBlocks(pipeline);
        await write(blockMapChart(blockMap(pipeline).map((entry) => ({ ...entry, seconds: seconds.get(entry.id) })), { theme: options.theme }), options);
        await pipeline.dispose();
      }),
  );

  plot.addCommand(
    figureCommand("pca", "Feature maps of blocks over the steps, first three principal components as colours.", 'blockcache plot pca fluent-ldm --prompt "red apple" --blocks "up_blocks.*.attentions.2" --out strips.png')
      .argument("<model>", MODEL)
      .requiredOption("--prompt <text>", "")
      .option("--seed <n>", "", nonNegativeInteger, 0)
      .option("--steps <n>", "num_inference_steps", positiveInteger, 20)
      .option("--at <list>", "0-based steps to show, separated by commas (default: all)", integerList)
      .option("--blocks <patterns>", "block ids and patterns separated by commas", "**.attentions.*")
      .action(async (model: string, options: PcaOptions) => {
        const pipeline = await openPipeline(model, options);
        await write(await strips(pipeline, options), options);
        await pipeline.dispose();
      }),
  );
  return plot;
}

async function write(figure: PlotlyFigure, options: PlotOptions): Promise<void> {
  for (const path of options.out) await exportFigure(figure, path, { theme: options.theme });
  print(options, { written: options.out }, options.out.map((path) => `wrote ${path}`));
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
  for await (const step of sample(pipeline, { prompt: options.prompt, seed: options.seed, steps: options.steps, hooks: recording.hooks, signal: abortOnInterrupt() })) {
    if (options.at !== undefined && !options.at.includes(step.index)) continue;
    steps.push(step.index);
    timesteps.push(step.timestep);
    predicted.push(await toDataUri((await step.preview())[0]));
    rows = step.latents.dims[0];
  }
  if (steps.length === 0) throw new ArgumentError(`--at: expected steps from 0 to ${options.steps - 1}, found ${options.at?.join(",")}`);
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
