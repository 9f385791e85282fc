/** A CLIPModel folder in transformers' layout: two towers in one file, a tokenizer and an image processor. */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { InvalidFileError, UnsupportedError } from "../errors.js";
import { readJson, validate } from "../files/json.js";
import { parseClipTextConfig } from "./configs/clipText.js";
import type { ClipTextConfig } from "./configs/clipText.js";
import { parseClipVisionConfig } from "./configs/clipVision.js";
import type { ClipVisionConfig } from "./configs/clipVision.js";
import { parseImageProcessorConfig } from "./configs/imageProcessor.js";
import type { ImageProcessorConfig } from "./configs/imageProcessor.js";
import { channels } from "./configs/schema.js";
import { loadClipTokenizer } from "./tokenizer/clipTokenizer.js";
import type { ClipTokenizer } from "./tokenizer/clipTokenizer.js";
import { openWeights } from "./weights.js";
import type { Weights } from "./weights.js";

/** A folder whose configs have been read and checked; weights and tokenizer open when asked for. */
export interface ClipFolder {
  readonly name: string;
  readonly path: string;
  readonly text: ClipTextConfig;
  readonly vision: ClipVisionConfig;
  /** length of an image or text embedding */
  readonly projection: number;
  readonly imageProcessor: ImageProcessorConfig;
  openWeights(): Promise<Weights>;
  loadTokenizer(): Promise<ClipTokenizer>;
}

const schema = z.looseObject({
  model_type: z.string(),
  projection_dim: channels.default(512),
  text_config: z.record(z.string(), z.unknown()),
  vision_config: z.record(z.string(), z.unknown()),
});

/**
 * Opens a folder and checks its configs.
 *
 * @throws InvalidFileError for what is missing or wrong; UnsupportedError for other kinds of model
 */
export async function openClipFolder(path: string): Promise<ClipFolder> {
  const file = join(path, "config.json");
  if (!existsSync(file))
    throw new InvalidFileError({
      file,
      found: existsSync(path) ? "a folder without it" : "no such folder",
      expected: "a CLIPModel folder in transformers' layout",
    });
  const config = validate(schema, await readJson(file), { file, hint: "it must be a CLIPModel's" });
  if (config.model_type !== "clip")
    throw new UnsupportedError(
      `${file}: model_type = ${JSON.stringify(config.model_type)} is not supported (supported: "clip")`,
    );
  const processorFile = join(path, "preprocessor_config.json");
  const vision = parseClipVisionConfig(config.vision_config, `${file}: vision_config`);
  const imageProcessor = parseImageProcessorConfig(await readJson(processorFile), processorFile);
  const text = parseClipTextConfig(
    { ...config.text_config, projection_dim: config.projection_dim },
    `${file}: text_config`,
  );
  return {
    name: basename(path),
    path,
    text,
    vision,
    projection: config.projection_dim,
    imageProcessor,
    openWeights: () => openWeights(path, "model"),
    loadTokenizer: () => loadClipTokenizer(path, text.max_position_embeddings),
  };
}
