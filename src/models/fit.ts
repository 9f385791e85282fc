/** Checks that the components of a model folder agree on the latents and the text embedding. */
import { join } from "node:path";
import { InvalidFileError, UnsupportedError } from "../errors.js";
import type { AutoencoderConfig } from "./configs/autoencoder.js";
import { attends } from "./configs/unet.js";
import type { UNetConfig } from "./configs/unet.js";
import type { TextEncoderFolder } from "./textEncoderFolder.js";

/** original size, crop and target size, two numbers each */
const TIME_IDS = 6;

/** The parts of a model folder that must fit together. */
interface Components {
  readonly path: string;
  readonly pipelineClass: string;
  readonly unet: UNetConfig;
  readonly vae: AutoencoderConfig;
  readonly textEncoders: readonly TextEncoderFolder[];
}

/** Throws InvalidFileError or UnsupportedError, naming the key, where two components do not fit each other. */
export function checkFit(folder: Components): void {
  const file = join(folder.path, "unet", "config.json");
  checkLatents(folder, file);
  for (const encoder of folder.textEncoders) checkProjection(folder.path, encoder);
  checkContext(folder, file);
  checkAddedEmbedding(folder, file);
}

function checkLatents({ unet, vae }: Components, file: string): void {
  if (unet.in_channels !== vae.latent_channels) {
    throw new UnsupportedError(
      `${file}: in_channels = ${unet.in_channels} is not supported beside latent_channels = ${vae.latent_channels} of the vae (inpainting and other networks that read an image have more channels, and only text to image is implemented)`,
    );
  }
  if (unet.out_channels !== vae.latent_channels) {
    throw new UnsupportedError(
      `${file}: out_channels = ${unet.out_channels} is not supported beside latent_channels = ${vae.latent_channels} of the vae (networks that predict a variance too are not implemented)`,
    );
  }
}

function checkProjection(path: string, { name, config, projects }: TextEncoderFolder): void {
  if (!projects) return;
  const file = join(path, name, "config.json");
  if (config.projection_dim === null)
    throw new InvalidFileError({
      file,
      field: "projection_dim",
      found: "null",
      expected: "the width of the pooled embedding",
    });
  if (typeof config.eos_token_id !== "number")
    throw new UnsupportedError(
      `${file}: eos_token_id = ${JSON.stringify(config.eos_token_id)} is not supported (supported: one token)`,
    );
}

function checkContext({ unet, textEncoders }: Components, file: string): void {
  const width = textEncoders.reduce((sum, { config }) => sum + config.hidden_size, 0);
  const widths = [unet.cross_attention_dim].flat();
  const wrong = widths.some((each, level) => each !== width && (widths.length === 1 || attends(unet, level)));
  if (wrong) {
    throw new InvalidFileError({
      file,
      field: "cross_attention_dim",
      found: JSON.stringify(unet.cross_attention_dim),
      expected: `${width}, the hidden_size of ${textEncoders.map(({ name }) => name).join(" and ")}${textEncoders.length > 1 ? " together" : ""}`,
    });
  }
}

/** The added embedding reads what only SDXL's pipeline makes, and that pipeline makes it for nothing else. */
function checkAddedEmbedding({ unet, textEncoders, pipelineClass }: Components, file: string): void {
  const isXl = pipelineClass === "StableDiffusionXLPipeline";
  if ((unet.addition_embed_type === "text_time") !== isXl) {
    throw new UnsupportedError(
      `${file}: addition_embed_type = ${JSON.stringify(unet.addition_embed_type)} is not supported in a ${pipelineClass} (supported: ${isXl ? '"text_time"' : "null"})`,
    );
  }
  if (!isXl) return;
  const pooled = textEncoders.find(({ projects }) => projects)?.config.projection_dim ?? 0;
  const expected = pooled + TIME_IDS * (unet.addition_time_embed_dim ?? 0);
  if (unet.projection_class_embeddings_input_dim !== expected) {
    throw new InvalidFileError({
      file,
      field: "projection_class_embeddings_input_dim",
      found: String(unet.projection_class_embeddings_input_dim),
      expected: `${expected}: projection_dim of text_encoder_2 and ${TIME_IDS} times addition_time_embed_dim`,
    });
  }
}
