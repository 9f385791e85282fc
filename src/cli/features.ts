import type { Command } from "commander";
import { saveFeatures } from "../quality/features/featureFile.js";
import { extractFolder } from "../quality/features/extractFolder.js";
import { openExtractor } from "../quality/features/extractor.js";
import { pictureNames } from "../quality/pictures/readPictures.js";
import { abortOnInterrupt, command, counted, print } from "./command.js";
import type { CommonOptions } from "./command.js";
import { outputFile } from "./outputs.js";
import { createProgress } from "./progress.js";

interface FeaturesCommandOptions extends CommonOptions {
  readonly images: string;
  readonly out: string;
  readonly mixedSizes?: boolean;
}

/** `blockcache features`: pictures as rows of numbers, for distances between sets of them. */
export function featuresCommand(): Command {
  return command(
    "features",
    "Extract features of a folder of pictures, for `blockcache frechet`. An ONNX file has a preprocessor_config.json beside it.",
    "blockcache features fluent-clip --images pictures --out features.safetensors",
  )
    .argument(
      "<model>",
      "a CLIP folder in transformers' layout, fluent-clip, an Inception-v3 .safetensors with pytorch-fid's names, or an .onnx file",
    )
    .requiredOption("--images <folder>", "png, jpeg and webp, taken in the order of their names")
    .addOption(
      outputFile("--out <file>", "safetensors to write: features [pictures, width]; the names are in its metadata", [
        ".safetensors",
      ]).makeOptionMandatory(),
    )
    .option("--mixed-sizes", "take pictures of several sizes, each resized on its own")
    .action(async (model: string, options: FeaturesCommandOptions) => {
      const { images: folder, out } = options;
      const names = await pictureNames(folder);
      const extractor = await openExtractor(model, options);
      const progress = createProgress("extracting", "pictures");
      try {
        const features = await extractFolder(extractor, folder, names, {
          mixedSizes: options.mixedSizes,
          onProgress: progress.update,
          signal: abortOnInterrupt(),
        });
        await saveFeatures(out, features, names);
        progress.stop();
        const { pictures, width } = features;
        print(options, { out, pictures, width, extractor: extractor.id }, [
          `${out}: ${counted(pictures, "picture")} of ${folder}, ${width} numbers each, by ${extractor.id.slice(0, 40)}…`,
        ]);
      } finally {
        progress.stop();
        await extractor.dispose();
      }
    });
}
