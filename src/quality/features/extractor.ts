/** Opens what turns pictures into features: a CLIP folder, Inception-v3, or an ONNX file. */
import { existsSync, statSync } from "node:fs";
import { extname, join, resolve } from "node:path";
import { ArgumentError, InvalidFileError } from "../../errors.js";
import { openDevice } from "../../engine/device.js";
import type { Device, DeviceOptions } from "../../engine/device.js";
import { openSafetensors } from "../../files/safetensors.js";
import { INCEPTION_WIDTH, inceptionGraph } from "../../graphs/inceptionV3.js";
import { EMBEDDED_MODELS } from "../../models/openModel.js";
import { weightsOf } from "../../models/weights.js";
import { inceptionPixels } from "../pictures/preprocess.js";
import { ClipModel } from "./clipModel.js";
import type { FeatureExtractor } from "./features.js";
import { fileId } from "./fileId.js";
import { GraphChain } from "./graphChain.js";
import { inBatches } from "./inBatches.js";
import { openOnnxFeatures } from "./onnxFeatures.js";

/** The CLIP that comes with the library; it knows emoji only. */
export const DEFAULT_EXTRACTOR = "fluent-clip";

/**
 * Opens an extractor.
 *
 * @param model a CLIPModel folder in transformers' layout or `fluent-clip` (image embeddings after the projection, not
 *   normalised); an Inception-v3 in safetensors with pytorch-fid's names; an .onnx file with a
 *   preprocessor_config.json beside it
 * @throws ArgumentError for a path that is none of these; InvalidFileError, UnsupportedError for what is wrong in it
 */
export async function openExtractor(
  model: string = DEFAULT_EXTRACTOR,
  options: DeviceOptions = {},
): Promise<FeatureExtractor> {
  const path = locate(model);
  const device = await openDevice(options);
  if (statSync(path).isDirectory()) {
    const clip = await ClipModel.open(path, device);
    return { id: clip.id, embed: (pictures) => clip.embedPictures(pictures), dispose: () => clip.dispose() };
  }
  if (extname(path) === ".onnx") return openOnnxFeatures(path, await fileId(path, [path]), device);
  return openInception(path, device);
}

/** Where a CLIP folder or an extractor's file is. Throws ArgumentError where there is none. */
export function locate(model: string): string {
  const path = [model, join(EMBEDDED_MODELS, model)].find((each) => existsSync(each));
  if (path !== undefined) return resolve(path);
  throw new ArgumentError(
    `extractor: expected a CLIP folder, an Inception-v3 .safetensors, an .onnx file or ${DEFAULT_EXTRACTOR}, found "${model}", which is not there`,
  );
}

/** How many pictures Inception-v3 processes together: more would take more memory and save no time. */
const INCEPTION_BATCH = 8;

async function openInception(path: string, device: Device): Promise<FeatureExtractor> {
  const file = await openSafetensors(path);
  const weights = weightsOf([file]);
  try {
    if (!file.tensors.has("Mixed_7c.branch_pool.conv.weight"))
      throw new InvalidFileError({
        file: path,
        found: "no tensor Mixed_7c.branch_pool.conv.weight",
        expected: "an Inception-v3 with pytorch-fid's names",
        hint: "save its state_dict() with safetensors",
      });
    const chain = await GraphChain.load([inceptionGraph(device)], weights, device);
    return {
      id: await fileId(path, [path]),
      embed: (pictures) =>
        inBatches(pictures, INCEPTION_BATCH, INCEPTION_WIDTH, (batch) => chain.run(inceptionPixels(batch))),
      dispose: async () => chain.dispose(),
    };
  } finally {
    await weights.close();
  }
}
