/** A model folder in the Hugging Face diffusers layout. */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { InvalidFileError, UnsupportedError } from "../errors.js";
import { parseAutoencoderConfig } from "./configs/autoencoder.js";
import type { AutoencoderConfig } from "./configs/autoencoder.js";
import { parseClipTextConfig } from "./configs/clipText.js";
import { parseSchedulerConfig } from "./configs/scheduler.js";
import type { SchedulerConfig } from "./configs/scheduler.js";
import { parseUNetConfig } from "./configs/unet.js";
import type { UNetConfig } from "./configs/unet.js";
import { checkFit } from "./fit.js";
import { readJson, validate } from "../files/json.js";
import type { TextEncoderFolder } from "./textEncoderFolder.js";
import { loadClipTokenizer } from "./tokenizer/clipTokenizer.js";
import { openWeights } from "./weights.js";
import type { Weights } from "./weights.js";

/** The diffusers pipelines that a folder may be for. */
const PIPELINES = ["StableDiffusionPipeline", "StableDiffusionXLPipeline", "LatentConsistencyModelPipeline"] as const;
export type PipelineClass = (typeof PIPELINES)[number];

/** A folder whose configs have been read and checked; weights and tokenizers open when asked for. */
export interface ModelFolder {
  /** the folder's own name, or the id that it was fetched by */
  readonly name: string;
  readonly path: string;
  /** the path it was opened from: its folder, or a single file */
  readonly source: string;
  /** for a single file: the model that its configs and tokenizer come from */
  readonly configs?: ModelFolder;
  readonly pipelineClass: PipelineClass;
  readonly unet: UNetConfig;
  readonly vae: AutoencoderConfig;
  /** in the order in which their embeddings are joined: one, or two for SDXL */
  readonly textEncoders: readonly TextEncoderFolder[];
  /** SDXL: without a negative prompt the unconditional text embedding is zeros */
  readonly forceZerosForEmptyPrompt: boolean;
  /** the diffusers scheduler that model_index.json names; which classes can run is up to the solvers */
  readonly schedulerClass: string;
  readonly scheduler: SchedulerConfig;
  openUNetWeights(): Promise<Weights>;
  openVaeWeights(): Promise<Weights>;
}

const part = z.tuple([z.string().nullable(), z.string().nullable()]);
const optionalPart = part.default([null, null]);
const indexSchema = z.looseObject({
  unet: part,
  vae: part,
  scheduler: part,
  text_encoder: optionalPart,
  tokenizer: optionalPart,
  text_encoder_2: optionalPart,
  tokenizer_2: optionalPart,
  force_zeros_for_empty_prompt: z.boolean().default(true),
  requires_aesthetics_score: z.boolean().default(false),
});
type Index = z.infer<typeof indexSchema>;

/** Component → the classes that we implement. */
const CLASSES = {
  unet: ["UNet2DConditionModel"],
  vae: ["AutoencoderKL"],
  text_encoder: ["CLIPTextModel"],
  text_encoder_2: ["CLIPTextModelWithProjection"],
  tokenizer: ["CLIPTokenizer", "CLIPTokenizerFast"],
  tokenizer_2: ["CLIPTokenizer", "CLIPTokenizerFast"],
} as const;

/**
 * Opens a folder and checks every config in it.
 *
 * @param variant of the weights to prefer where there is one, for example `fp16`
 * @throws InvalidFileError for what is missing or wrong; UnsupportedError for other kinds of model
 */
export async function openModelFolder(path: string, variant?: string): Promise<ModelFolder> {
  const indexFile = join(path, "model_index.json");
  if (!existsSync(indexFile)) {
    throw new InvalidFileError({
      file: indexFile,
      found: existsSync(path) ? "a folder without it" : "no such folder",
      expected: "a model folder in the diffusers layout",
    });
  }
  const json = await readJson(indexFile);
  const pipelineClass = pipelineClassOf(json, indexFile);
  const index = validate(indexSchema, json, { file: indexFile });
  for (const component of ["unet", "vae"] as const) requireClass(indexFile, index, component);
  const [, schedulerClass] = index.scheduler;
  if (schedulerClass === null)
    throw new UnsupportedError(`${indexFile}: scheduler = null is not supported (supported: a diffusers scheduler)`);

  const config = async <T>(component: string, file: string, parse: (json: unknown, path: string) => T): Promise<T> => {
    const configPath = join(path, component, file);
    return parse(await readJson(configPath), configPath);
  };
  const unet = await config("unet", "config.json", parseUNetConfig);
  const vae = await config("vae", "config.json", parseAutoencoderConfig);
  const scheduler = await config("scheduler", "scheduler_config.json", parseSchedulerConfig);
  const textEncoders: TextEncoderFolder[] = [];
  for (const { name, tokenizer, projects } of textEncodersOf(indexFile, index, pipelineClass)) {
    const clip = await config(name, "config.json", parseClipTextConfig);
    textEncoders.push({
      name,
      config: clip,
      projects,
      openWeights: () => openWeights(join(path, name), "model", variant),
      loadTokenizer: () => loadClipTokenizer(join(path, tokenizer), clip.max_position_embeddings),
    });
  }
  const folder: ModelFolder = {
    name: basename(path),
    path,
    source: path,
    pipelineClass,
    unet,
    vae,
    textEncoders,
    forceZerosForEmptyPrompt: pipelineClass === "StableDiffusionXLPipeline" && index.force_zeros_for_empty_prompt,
    schedulerClass,
    scheduler,
    openUNetWeights: () => openWeights(join(path, "unet"), "diffusion_pytorch_model", variant),
    openVaeWeights: () => openWeights(join(path, "vae"), "diffusion_pytorch_model", variant),
  };
  checkFit(folder);
  return folder;
}

function pipelineClassOf(json: unknown, file: string): PipelineClass {
  const { _class_name: name } = validate(z.looseObject({ _class_name: z.string() }), json, { file });
  const known = PIPELINES.find((each) => each === name);
  if (known !== undefined) return known;
  const why = /Img2Img|Inpaint/.test(name) ? "; it starts from an image, and only text to image is implemented" : "";
  throw new UnsupportedError(
    `${file}: _class_name = "${name}" is not supported (supported: ${PIPELINES.join(", ")}${why})`,
  );
}

interface TextPart {
  readonly name: TextEncoderFolder["name"];
  readonly tokenizer: "tokenizer" | "tokenizer_2";
  readonly projects: boolean;
}

/** SDXL has two, of which the first may be absent; the others have one. */
function textEncodersOf(file: string, index: Index, pipelineClass: PipelineClass): readonly TextPart[] {
  const first: TextPart = { name: "text_encoder", tokenizer: "tokenizer", projects: false };
  const second: TextPart = { name: "text_encoder_2", tokenizer: "tokenizer_2", projects: true };
  const isXl = pipelineClass === "StableDiffusionXLPipeline";
  if (index.requires_aesthetics_score) {
    throw new UnsupportedError(
      `${file}: requires_aesthetics_score = true is not supported: this is SDXL's refiner, which starts from an image, and only text to image is implemented`,
    );
  }
  const parts = isXl
    ? index.tokenizer[1] === null && index.text_encoder[1] === null
      ? [second]
      : [first, second]
    : [first];
  for (const { name, tokenizer } of parts) {
    requireClass(file, index, name);
    requireClass(file, index, tokenizer);
  }
  return parts;
}

function requireClass(file: string, index: Index, component: keyof typeof CLASSES): void {
  const [, found] = index[component];
  const known: readonly string[] = CLASSES[component];
  if (found === null || !known.includes(found)) {
    throw new UnsupportedError(
      `${file}: ${component} = ${JSON.stringify(found)} is not supported (supported: ${known.join(", ")})`,
    );
  }
}
