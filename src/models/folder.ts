/** A model folder in the Hugging Face diffusers layout. */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { InvalidFileError, UnsupportedError } from "../errors.js";
import { parseAutoencoderConfig } from "./configs/autoencoder.js";
import type { AutoencoderConfig } from "./configs/autoencoder.js";
import { parseClipTextConfig } from "./configs/clipText.js";
import type { ClipTextConfig } from "./configs/clipText.js";
import { parseSchedulerConfig } from "./configs/scheduler.js";
import type { SchedulerConfig } from "./configs/scheduler.js";
import { parseUNetConfig } from "./configs/unet.js";
import type { UNetConfig } from "./configs/unet.js";
import { readJson } from "./json.js";
import { loadClipTokenizer } from "./tokenizer.js";
import type { ClipTokenizer } from "./tokenizer.js";
import { openWeights } from "./weights.js";
import type { Weights } from "./weights.js";

/** A folder whose configs have been read and checked; weights and tokenizer open when asked for. */
export interface ModelFolder {
  /** the folder's own name, or the id that it was fetched by */
  readonly name: string;
  readonly path: string;
  readonly unet: UNetConfig;
  readonly vae: AutoencoderConfig;
  readonly textEncoder: ClipTextConfig;
  readonly scheduler: SchedulerConfig;
  openUNetWeights(): Promise<Weights>;
  openVaeWeights(): Promise<Weights>;
  openTextEncoderWeights(): Promise<Weights>;
  loadTokenizer(): Promise<ClipTokenizer>;
}

const part = z.tuple([z.string().nullable(), z.string().nullable()]);
const indexSchema = z.looseObject({ _class_name: z.string(), unet: part, vae: part, text_encoder: part, tokenizer: part, scheduler: part });

/** Component → the classes that we implement; the scheduler's is each solver's own matter. */
const CLASSES: Readonly<Record<string, readonly string[]>> = {
  unet: ["UNet2DConditionModel"],
  vae: ["AutoencoderKL"],
  text_encoder: ["CLIPTextModel"],
  tokenizer: ["CLIPTokenizer", "CLIPTokenizerFast"],
};

/**
 * Opens a folder and checks every config in it.
 *
 * @param variant of the weights to take where there is one, for example `fp16`
 * @throws InvalidFileError for what is missing or wrong; UnsupportedError for other kinds of model
 */
export async function openModelFolder(path: string, variant?: string): Promise<ModelFolder> {
  const indexFile = join(path, "model_index.json");
  if (!existsSync(indexFile)) {
    throw new InvalidFileError({ file: indexFile, found: existsSync(path) ? "a folder without it" : "no such folder", expected: "a model folder in the diffusers layout" });
  }
  const index = indexSchema.safeParse(await readJson(indexFile));
  const className = index.success ? index.data._class_name : undefined;
  if (className !== undefined && className !== "StableDiffusionPipeline") {
    throw new UnsupportedError(`${indexFile}: _class_name = "${className}" is not supported (supported: StableDiffusionPipeline)`);
  }
  if (!index.success) {
    const issue = index.error.issues[0];
    throw new InvalidFileError({ file: indexFile, field: issue.path.join("."), found: issue.code, expected: issue.message });
  }
  for (const [component, known] of Object.entries(CLASSES)) {
    const [, found] = part.parse(index.data[component]);
    if (found === null || !known.includes(found)) throw new UnsupportedError(`${indexFile}: ${component} = ${JSON.stringify(found)} is not supported (supported: ${known.join(", ")})`);
  }

  const config = async <T>(component: string, file: string, parse: (json: unknown, path: string) => T): Promise<T> => {
    const configPath = join(path, component, file);
    return parse(await readJson(configPath), configPath);
  };
  const unet = await config("unet", "config.json", parseUNetConfig);
  const vae = await config("vae", "config.json", parseAutoencoderConfig);
  const textEncoder = await config("text_encoder", "config.json", parseClipTextConfig);
  const scheduler = await config("scheduler", "scheduler_config.json", parseSchedulerConfig);
  checkFit(path, unet, vae, textEncoder);
  return {
    name: basename(path),
    path,
    unet,
    vae,
    textEncoder,
    scheduler,
    openUNetWeights: () => openWeights(join(path, "unet"), "diffusion_pytorch_model", variant),
    openVaeWeights: () => openWeights(join(path, "vae"), "diffusion_pytorch_model", variant),
    openTextEncoderWeights: () => openWeights(join(path, "text_encoder"), "model", variant),
    loadTokenizer: () => loadClipTokenizer(join(path, "tokenizer"), textEncoder.max_position_embeddings),
  };
}

/** The components must speak of the same latents and the same text embedding. */
function checkFit(path: string, unet: UNetConfig, vae: AutoencoderConfig, textEncoder: ClipTextConfig): void {
  const unetFile = join(path, "unet", "config.json");
  if (unet.in_channels !== vae.latent_channels) {
    throw new UnsupportedError(`${unetFile}: in_channels = ${unet.in_channels} is not supported beside latent_channels = ${vae.latent_channels} of the vae (inpainting networks with extra channels are not)`);
  }
  const widths = [unet.cross_attention_dim].flat();
  if (!widths.includes(textEncoder.hidden_size)) {
    throw new InvalidFileError({ file: unetFile, field: "cross_attention_dim", found: JSON.stringify(unet.cross_attention_dim), expected: `${textEncoder.hidden_size}, the text encoder's hidden_size` });
  }
}
