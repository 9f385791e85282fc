import type { Command } from "commander";
import { MODEL, UsageError, command, openPipeline, print } from "./command.js";
import type { CommonOptions } from "./command.js";
import { outputFile } from "./outputs.js";
import { readTensors, writeTensors } from "./tensorFile.js";

interface VaeOptions extends CommonOptions {
  readonly decode?: boolean;
  readonly encode?: boolean;
  readonly inputs: string;
  readonly out: string;
}

/** `blockcache vae`: the autoencoder, in either direction. */
export function vaeCommand(): Command {
  return command(
    "vae",
    "Decode latents to an image, or encode pixels to the mean of their latents.",
    "blockcache vae fluent-ldm --decode --inputs latents.safetensors --out image.safetensors",
  )
    .argument("<model>", MODEL)
    .option(
      "--decode",
      "latents [batch, channels, height, width], as sampled (they are divided by scaling_factor here), to image",
    )
    .option("--encode", "pixels [batch, 3, height, width] in −1…1 to latent_mean (not scaled)")
    .requiredOption("--inputs <file>", "safetensors")
    .addOption(outputFile("--out <file>", "safetensors to write", [".safetensors"]).makeOptionMandatory())
    .action(async (model: string, options: VaeOptions) => {
      if (options.decode === options.encode) throw new UsageError("vae: expected one of --decode and --encode");
      const [input, output] = options.decode ? ["latents", "image"] : ["pixels", "latent_mean"];
      const tensors = await readTensors(options.inputs, { [input]: "[batch, channels, height, width]" });
      const pipeline = await openPipeline(model, options);
      const result = options.decode
        ? await pipeline.decode(tensors[input])
        : await pipeline.encodeImage(tensors[input]);
      await writeTensors(options.out, { [output]: result });
      print(options, { out: options.out, [output]: result.dims }, [
        `${options.out}: ${output} [${result.dims.join(", ")}]`,
      ]);
      await pipeline.dispose();
    });
}
