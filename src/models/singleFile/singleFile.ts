/** A checkpoint in one file, as Stable Diffusion was first published: weights of every component, no configs. */
import { basename, extname } from "node:path";
import { InvalidFileError, UnsupportedError } from "../../errors.js";
import type { ModelFolder } from "../folder.js";
import { openSafetensors } from "../../files/safetensors.js";
import { weightsOf } from "../weights.js";
import type { Weights } from "../weights.js";
import {
  CLIP_PREFIX,
  OPEN_CLIP_PREFIX,
  UNET_PREFIX,
  VAE_PREFIXES,
  autoencoderTensors,
  hasPrefix,
  textEncoderTensors,
  unetName,
  unetTensors,
} from "./originalLayout.js";
import type { Tensors } from "./originalLayout.js";

/** Stable Diffusion 2 reads text of 1,024 numbers per token; everything before it, 768. */
const SECOND_GENERATION = {
  tensor: `${UNET_PREFIX}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight`,
  width: 1024,
};
const CONV_IN = `${UNET_PREFIX}input_blocks.0.0.weight`;
const INPAINTING_CHANNELS = 9;

/**
 * Which model's configs and tokenizer fit a file, as far as the file tells; diffusers' own rule
 * (loaders/single_file_utils.py: infer_diffusers_model_type, DIFFUSERS_DEFAULT_PIPELINE_PATHS).
 *
 * @returns an id on the hub
 * @throws UnsupportedError for every other kind of file; InvalidFileError where it is damaged
 */
export async function configOf(path: string): Promise<string> {
  if (/^\.(ckpt|pt|pth|bin)$/.test(extname(path))) {
    throw new UnsupportedError(
      `${path}: a pickled checkpoint, which runs code when it is opened — if you trust it, convert it: StableDiffusionPipeline.from_single_file("${basename(path)}").save_pretrained("folder"), and give the folder`,
    );
  }
  const file = await openSafetensors(path);
  await file.close();
  refuseOthers(path, file.tensors);
  const { tensor, width } = SECOND_GENERATION;
  return file.tensors.get(tensor)?.dims.at(-1) === width
    ? "stabilityai/stable-diffusion-2-1"
    : "stable-diffusion-v1-5/stable-diffusion-v1-5";
}

/**
 * The file as a model, with the configs and the tokenizer of a folder.
 *
 * @throws UnsupportedError where the config does not fit the file
 */
export async function openSingleFile(path: string, configs: ModelFolder): Promise<ModelFolder> {
  if (configs.textEncoders.length !== 1)
    throw new UnsupportedError(
      `${path}: the configs in ${configs.path} are those of ${configs.pipelineClass}, and this is Stable Diffusion 1.x or 2.x — give the folder of the model that it was made from (config)`,
    );
  const layers = [...new Set([configs.unet.layers_per_block].flat())];
  if (layers.length !== 1)
    throw new UnsupportedError(
      `${path}: layers_per_block = ${JSON.stringify(configs.unet.layers_per_block)} in the config: the original layout has as many in every block — give the folder of the model that this file was made from (config)`,
    );
  const open = async (view: (tensors: Tensors) => Tensors): Promise<Weights> => {
    const file = await openSafetensors(path);
    return weightsOf([file.withTensors(view(file.tensors))]);
  };
  return {
    ...configs,
    name: basename(path, extname(path)),
    source: path,
    configs,
    openUNetWeights: () => open((tensors) => unetTensors(tensors, layers[0])),
    openVaeWeights: () => open((tensors) => autoencoderTensors(tensors, configs.vae.block_out_channels.length)),
    textEncoders: configs.textEncoders.map((each) => ({ ...each, openWeights: () => open(textEncoderTensors) })),
  };
}

function refuseOthers(path: string, tensors: Tensors): void {
  const names = [...tensors.keys()];
  const refuse = (what: string, how: string): never => {
    throw new UnsupportedError(`${path}: ${what} — ${how}`);
  };
  if (names.some((name) => /(?:^|[._])lora(?:[._]|$)/i.test(name))) {
    refuse(
      "a LoRA: changes to a model, not a model",
      `fuse it into its model with diffusers: pipeline.load_lora_weights("${basename(path)}"); pipeline.fuse_lora(); pipeline.unload_lora_weights(); pipeline.save_pretrained("folder"), and give the folder`,
    );
  }
  if (hasPrefix(tensors, "conditioner.embedders.")) {
    refuse(
      "a Stable Diffusion XL checkpoint in a single file",
      `convert it with diffusers: StableDiffusionXLPipeline.from_single_file("${basename(path)}").save_pretrained("folder"), and give the folder`,
    );
  }
  const convIn = tensors.get(CONV_IN);
  if (convIn === undefined) {
    throw new InvalidFileError({
      file: path,
      field: CONV_IN,
      found: `no such tensor; it holds ${names.slice(0, 3).join(", ") || "none"}${names.length > 3 ? ", …" : ""}`,
      expected: "a checkpoint of Stable Diffusion 1.x or 2.x in the original layout",
      hint: "for one component's weights in the diffusers layout give the folder with model_index.json",
    });
  }
  if (convIn.dims[1] === INPAINTING_CHANNELS)
    refuse(
      `an inpainting network (${INPAINTING_CHANNELS} input channels)`,
      "only text-to-image networks are supported",
    );
  // With more layers than any file has: a tensor without a name even then belongs to no UNet that we know.
  const unknown = names.find(
    (name) => name.startsWith(UNET_PREFIX) && unetName(name.slice(UNET_PREFIX.length), names.length) === undefined,
  );
  if (unknown !== undefined)
    refuse(
      `${unknown} belongs to no Stable Diffusion 1.x or 2.x`,
      "networks with added embeddings or other modules are not supported in a single file",
    );
  for (const [what, prefixes] of [
    ["text encoder", [CLIP_PREFIX, OPEN_CLIP_PREFIX]],
    ["autoencoder", VAE_PREFIXES],
  ] as const) {
    if (!prefixes.some((prefix) => hasPrefix(tensors, prefix))) {
      throw new InvalidFileError({
        file: path,
        field: `${prefixes[0]}*`,
        found: "no such tensors",
        expected: `the weights of the ${what} too`,
        hint: "a file with the UNet alone is no model: use the full checkpoint",
      });
    }
  }
}
