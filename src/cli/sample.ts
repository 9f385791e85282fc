import type { Command } from "commander";
import { Option } from "commander";
import { cachedRun } from "../caching/run/cachedRun.js";
import type { ScheduleMismatch } from "../caching/run/cachedRun.js";
import { peakCacheBytes } from "../caching/run/executionPlan.js";
import { networkOutline } from "../caching/costs/networkOutline.js";
import { loadCosts } from "../caching/costs/costsFile.js";
import { requireCostsOf } from "../caching/costs/requireCosts.js";
import type { ReuseRule } from "../caching/run/reuseRule.js";
import { computedShare } from "../caching/schedule/schedule.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import { loadSchedule } from "../caching/schedule/scheduleFile.js";
import type { Adjustment } from "../caching/adjustment/adjustment.js";
import { loadAdjustment } from "../caching/adjustment/adjustmentFile.js";
import { followingBlocks, mendingOf } from "../caching/run/adjustmentMender.js";
import { montage } from "../diffusion/montage.js";
import { saveImage } from "../diffusion/image.js";
import { decodeImages } from "../diffusion/decodeImages.js";
import { sample } from "../diffusion/sample.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { planSampling } from "../diffusion/samplingPlan.js";
import type { SampleOptions } from "../diffusion/samplingPlan.js";
import { solverNames } from "../diffusion/solvers/index.js";
import type { SolverName } from "../diffusion/solvers/index.js";
import { checkBlocks } from "../instrument/hooks/checkBlocks.js";
import { loadProfile } from "../instrument/profile/profileFile.js";
import type { FloatTensor } from "../numerics/tensor.js";
import {
  MODEL,
  UsageError,
  abortOnInterrupt,
  command,
  finiteNumber,
  integerPair,
  mebibytes,
  nonNegativeInteger,
  openPipeline,
  positiveInteger,
  print,
  refuseWithout,
} from "./command.js";
import type { CommonOptions } from "./command.js";
import { FINDING, findSchedule, withFinding } from "./findSchedule.js";
import type { FindOptions } from "./findSchedule.js";
import { loadHeuristic } from "./heuristic.js";
import { outputFile } from "./outputs.js";
import { createProgress } from "./progress.js";
import { loadReuseRule, reuseOption } from "./reuse.js";
import { schedulerConfigOption } from "./schedulerConfig.js";
import { readTensors, writeTensors } from "./tensorFile.js";

interface SampleCommandOptions extends CommonOptions, FindOptions {
  readonly prompt: string[];
  readonly negativePrompt?: string;
  readonly seed: number;
  readonly steps: number;
  readonly solver?: SolverName;
  readonly schedulerConfig?: Readonly<Record<string, unknown>>;
  readonly guidanceScale: number;
  readonly guidanceRescale: number;
  readonly eta: number;
  readonly images: number;
  readonly height?: number;
  readonly width?: number;
  readonly originalSize?: [number, number];
  readonly cropsCoordsTopLeft?: [number, number];
  readonly targetSize?: [number, number];
  readonly clipSkip: number;
  readonly latents?: string;
  readonly out?: string;
  readonly saveLatents?: string;
  readonly schedule?: string;
  readonly profile?: string;
  readonly costs?: string;
  readonly reuse: string;
  readonly adjustment?: string;
  readonly allow?: ScheduleMismatch[];
  readonly checkBlocks?: boolean;
}

/** `blockcache sample`: prompts to an image. */
export function sampleCommand(): Command {
  const sampling = command(
    "sample",
    "Sample images from prompts.",
    'blockcache sample fluent-ldm --prompt "red apple" --seed 0 --steps 20 --out apple.png',
  )
    .argument("<model>", MODEL)
    .requiredOption("--prompt <text...>", "one or more prompts")
    .option(
      "--negative-prompt <text>",
      "what the image must not show (default: the empty prompt, or what the model uses when there is none)",
    )
    .option("--seed <n>", "seed of the noise, as torch's CPU generator draws it", nonNegativeInteger, 0)
    .option("--steps <n>", "num_inference_steps", positiveInteger, 20)
    .addOption(new Option("--solver <name>", "default: what the model's scheduler asks for").choices(solverNames))
    .addOption(schedulerConfigOption())
    .option("--guidance-scale <w>", "classifier-free guidance; off at 1 and below", finiteNumber, 5)
    .option("--guidance-rescale <phi>", "rescale the guided prediction (Lin et al. 2023)", finiteNumber, 0)
    .option("--eta <eta>", "DDIM's η", finiteNumber, 0)
    .option("--images <n>", "images for each prompt", positiveInteger, 1)
    .option("--height <pixels>", "default: what the model was trained at", positiveInteger)
    .option("--width <pixels>", "with --height: both or neither", positiveInteger)
    .option(
      "--original-size <height,width>",
      "SDXL: the size that the image is said to be scaled from (default: its own)",
      integerPair,
    )
    .option(
      "--crops-coords-top-left <top,left>",
      "SDXL: where the image is said to be cropped (default: 0,0)",
      integerPair,
    )
    .option("--target-size <height,width>", "SDXL: the size that is aimed at (default: the image's own)", integerPair)
    .option("--clip-skip <n>", "leave out the text encoder's last n layers", nonNegativeInteger, 0)
    .option("--latents <file>", "safetensors with latents [images, channels, height, width], unit normal")
    .addOption(outputFile("--out <file>", "PNG to write; several images are put side by side", [".png"]))
    .addOption(
      outputFile("--save-latents <file>", "safetensors to write: the final latents, before the autoencoder", [
        ".safetensors",
      ]),
    )
    .option("--check-blocks", "stop at the first block that gives NaN or infinity, and name it; slower")
    .option("--schedule <file>", "cache by this schedule: what `blockcache schedule` wrote")
    .option(
      "--profile <file>",
      "cache by the schedule that a heuristic finds in this profile; the options below are those of `blockcache schedule`",
    );
  return withFinding(sampling)
    .option("--costs <file>", "what `blockcache costs` wrote, for --speedup and --latency")
    .addOption(reuseOption("what stands in for a block that does not compute"))
    .option(
      "--adjustment <file>",
      "correct what stands in for reused blocks, with what `blockcache adjust` wrote for this schedule",
    )
    .addOption(
      new Option("--allow <mismatches...>", "use a schedule made for another model or solver").choices([
        "model",
        "solver",
      ]),
    )
    .action(async (model: string, options: SampleCommandOptions, given: Command) => {
      if (options.out === undefined && options.saveLatents === undefined)
        throw new UsageError("sample: expected --out image.png, --save-latents latents.safetensors, or both");
      checkCaching(options, given);
      if (options.solver !== undefined && options.solver !== "ddim") refuseWithout(given, "--solver ddim", ["eta"]);
      const start =
        options.latents === undefined
          ? undefined
          : await readTensors(options.latents, { latents: "[images, channels, height, width]" });
      const reuse = await loadReuseRule(options.reuse);
      const schedule = await scheduleOf(options, reuse);
      const adjustment = options.adjustment === undefined ? undefined : await loadAdjustment(options.adjustment);
      const cached =
        schedule === undefined ? undefined : cachedRun(schedule, { reuse, adjustment, allow: options.allow });
      const pipeline = await openPipeline(model, options);
      const progress = createProgress("sampling", "evaluations");
      let latents: FloatTensor | undefined;
      let planned: number | undefined;
      try {
        const settings: SampleOptions = {
          prompt: options.prompt,
          negativePrompt: options.negativePrompt,
          seed: options.seed,
          latents: start?.latents,
          steps: options.steps,
          solver: options.solver,
          schedulerConfig: options.schedulerConfig,
          guidanceScale: options.guidanceScale,
          guidanceRescale: options.guidanceRescale,
          eta: options.eta,
          imagesPerPrompt: options.images,
          height: options.height,
          width: options.width,
          originalSize: options.originalSize,
          cropsCoordsTopLeft: options.cropsCoordsTopLeft,
          targetSize: options.targetSize,
          clipSkip: options.clipSkip,
          hooks: [...(cached === undefined ? [] : [cached]), ...(options.checkBlocks ? [checkBlocks()] : [])],
          signal: abortOnInterrupt(),
        };
        if (schedule !== undefined) planned = plannedCacheBytes(pipeline, settings, schedule, reuse, adjustment);
        if (planned !== undefined && process.stderr.isTTY)
          process.stderr.write(`the cache will hold at most ${mebibytes(planned)}\n`);
        const run = sample(pipeline, settings);
        for await (const step of run) {
          latents = step.latents;
          progress.update(step.index + 1, step.total);
        }
      } finally {
        progress.stop();
      }
      if (latents === undefined) throw new TypeError("the solver yielded no step");
      const written = [];
      if (options.saveLatents !== undefined) {
        await writeTensors(options.saveLatents, { latents });
        written.push(options.saveLatents);
      }
      if (options.out !== undefined) {
        const images = await decodeImages(pipeline, latents);
        const picture = images.length === 1 ? images[0] : montage(images, Math.ceil(Math.sqrt(images.length)), 4);
        await saveImage(options.out, picture, {
          prompt: options.prompt.join("\n"),
          seed: String(options.seed),
          steps: String(options.steps),
          model: pipeline.name,
        });
        written.push(options.out);
      }
      const caching =
        cached === undefined || schedule === undefined
          ? undefined
          : {
              computedShare: computedShare(schedule),
              peakCacheBytes: cached.peakCacheBytes,
              plannedCacheBytes: planned,
            };
      const said =
        caching === undefined
          ? []
          : [
              `cached: ${(100 * caching.computedShare).toFixed(0)} % of the scheduled blocks' evaluations computed, at most ${mebibytes(caching.peakCacheBytes)} kept`,
            ];
      print(options, { written, latents: latents.dims, caching }, [...written.map((path) => `wrote ${path}`), ...said]);
      await pipeline.dispose();
    });
}

function plannedCacheBytes(
  pipeline: Pipeline,
  settings: SampleOptions,
  schedule: Schedule,
  reuse: ReuseRule,
  adjustment: Adjustment | undefined,
): number {
  const { prompts, rowsPerImage, latentSize } = planSampling(pipeline, settings);
  const rows = prompts.length * rowsPerImage;
  const mending =
    adjustment === undefined ? undefined : mendingOf(adjustment, followingBlocks(pipeline.network.blocks));
  return peakCacheBytes(networkOutline(pipeline, latentSize), schedule, rows, reuse, mending);
}

/** An option that would have no effect is a mistake. */
function checkCaching({ schedule, profile, allow, adjustment, reuse }: SampleCommandOptions, given: Command): void {
  const finding = [...FINDING, "costs"].find((name) => given.getOptionValueSource(name) === "cli");
  if (schedule !== undefined && profile !== undefined)
    throw new UsageError("sample: expected --schedule or --profile, found both");
  if (profile === undefined && finding !== undefined)
    throw new UsageError(
      `sample: --${finding} goes with --profile${schedule === undefined ? "" : "; a schedule already says what computes"}`,
    );
  const caching = { allow: allow !== undefined, adjustment: adjustment !== undefined, reuse: reuse !== "hold" };
  const alone = Object.entries(caching).find(([, isGiven]) => isGiven)?.[0];
  if (schedule === undefined && profile === undefined && alone !== undefined)
    throw new UsageError(`sample: --${alone} goes with --schedule or --profile`);
}

async function scheduleOf(options: SampleCommandOptions, reuse: ReuseRule): Promise<Schedule | undefined> {
  if (options.schedule !== undefined) return loadSchedule(options.schedule);
  if (options.profile === undefined) return undefined;
  const profile = await loadProfile(options.profile);
  const costs = options.costs === undefined ? undefined : await loadCosts(options.costs);
  if (costs !== undefined) requireCostsOf(costs, profile.setting.model, profile.setting.latent_size);
  return findSchedule(await loadHeuristic(options.heuristic), profile, costs, reuse, options);
}
