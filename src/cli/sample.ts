import type { Command } from "commander";
import { Option } from "commander";
import { ArgumentError } from "../errors.js";
import { montage } from "../diffusion/montage.js";
import { saveImage } from "../diffusion/image.js";
import { decodeImages, sample } from "../diffusion/sample.js";
import { solverNames } from "../diffusion/solvers/index.js";
import type { SolverName } from "../diffusion/solvers/index.js";
import type { FloatTensor } from "../models/tensor.js";
import { abortOnInterrupt, command, finiteNumber, nonNegativeInteger, openPipeline, positiveInteger, print } from "./command.js";
import type { CommonOptions } from "./command.js";
import { createProgress } from "./progress.js";
import { readTensors, writeTensors } from "./tensorFile.js";

interface SampleCommandOptions extends CommonOptions {
  readonly prompt: string[];
  readonly negativePrompt: string;
  readonly seed: number;
  readonly steps: number;
  readonly solver?: SolverName;
  readonly timestepSpacing?: string;
  readonly guidanceScale: number;
  readonly guidanceRescale: number;
  readonly eta: number;
  readonly images: number;
  readonly height?: number;
  readonly width?: number;
  readonly clipSkip: number;
  readonly latents?: string;
  readonly out?: string;
  readonly saveLatents?: string;
}

/** `blockcache sample`: prompts to an image. */
export function sampleCommand(): Command {
  return command("sample", "Sample images from prompts.", 'blockcache sample fluent-ldm --prompt "red apple" --seed 0 --steps 20 --out apple.png')
    .argument("<model>", "a folder in the diffusers layout, or fluent-ldm")
    .requiredOption("--prompt <text...>", "one or more prompts")
    .option("--negative-prompt <text>", "what the image must not show", "")
    .option("--seed <n>", "seed of the noise, as torch's CPU generator draws it", nonNegativeInteger, 0)
    .option("--steps <n>", "num_inference_steps", positiveInteger, 20)
    .addOption(new Option("--solver <name>", "default: what the model's scheduler asks for").choices(solverNames))
    .addOption(new Option("--timestep-spacing <name>", "default: as the model's scheduler").choices(["leading", "linspace", "trailing"]))
    .option("--guidance-scale <w>", "classifier-free guidance; off at 1 and below", finiteNumber, 5)
    .option("--guidance-rescale <phi>", "rescale the guided prediction (Lin et al. 2023)", finiteNumber, 0)
    .option("--eta <eta>", "DDIM's η", finiteNumber, 0)
    .option("--images <n>", "images for each prompt", positiveInteger, 1)
    .option("--height <pixels>", "default: what the model was trained at", positiveInteger)
    .option("--width <pixels>", "", positiveInteger)
    .option("--clip-skip <n>", "leave out the text encoder's last n layers", nonNegativeInteger, 0)
    .option("--latents <file>", "safetensors with latents [images, channels, height, width], unit normal")
    .option("--out <file>", "PNG to write; several images are put side by side")
    .option("--save-latents <file>", "safetensors to write: latents, final, before the autoencoder")
    .action(async (model: string, options: SampleCommandOptions) => {
      if (options.out === undefined && options.saveLatents === undefined) throw new ArgumentError("sample: expected --out image.png, --save-latents latents.safetensors, or both");
      const given = options.latents === undefined ? undefined : await readTensors(options.latents, { latents: "[images, channels, height, width]" });
      const pipeline = await openPipeline(model, options);
      const progress = createProgress("sampling", "steps");
      let latents: FloatTensor | undefined;
      try {
        const run = sample(pipeline, {
          prompt: options.prompt,
          negativePrompt: options.negativePrompt,
          seed: options.seed,
          latents: given?.latents,
          steps: options.steps,
          solver: options.solver,
          schedulerConfig: options.timestepSpacing === undefined ? undefined : { timestep_spacing: options.timestepSpacing },
          guidanceScale: options.guidanceScale,
          guidanceRescale: options.guidanceRescale,
          eta: options.eta,
          imagesPerPrompt: options.images,
          height: options.height,
          width: options.width,
          clipSkip: options.clipSkip,
          signal: abortOnInterrupt(),
        });
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
        await saveImage(options.out, picture, { prompt: options.prompt.join("\n"), seed: String(options.seed), steps: String(options.steps), model: pipeline.name });
        written.push(options.out);
      }
      print(options, { written, latents: latents.dims }, written.map((path) => `wrote ${path}`));
      await pipeline.dispose();
    });
}
