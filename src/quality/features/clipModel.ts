import type { RgbImage } from "../../diffusion/image.js";
import { ClipTextEncoder } from "../../engine/clipTextEncoder.js";
import type { Device } from "../../engine/device.js";
import { Lazy } from "../../engine/lazy.js";
import { clipVisionGraphs } from "../../graphs/clipVision.js";
import { openClipFolder } from "../../models/clipFolder.js";
import type { ClipFolder } from "../../models/clipFolder.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { clipPixels } from "../pictures/preprocess.js";
import { fileId } from "./fileId.js";
import { GraphChain } from "./graphChain.js";
import { inBatches } from "./inBatches.js";

/** How many pictures or texts the towers process together. */
const BATCH = 16;

/** A CLIPModel on a device: embeds pictures and texts in one space. */
export class ClipModel {
  /** `name sha256:…` of weights and image processor */
  readonly id: string;
  readonly folder: ClipFolder;
  readonly #vision: Lazy<GraphChain>;
  readonly #text: Lazy<ClipTextEncoder>;

  private constructor(folder: ClipFolder, id: string, device: Device) {
    this.folder = folder;
    this.id = id;
    this.#vision = new Lazy(() =>
      withWeights(folder, (weights) =>
        GraphChain.load(clipVisionGraphs(folder.vision, folder.projection, device), weights, device),
      ),
    );
    this.#text = new Lazy(() =>
      withWeights(folder, async (weights) => {
        const { length } = await folder.loadTokenizer();
        return ClipTextEncoder.load(folder.text, length, true, weights, device);
      }),
    );
  }

  /** Opens a folder; the towers are compiled when first used. Throws InvalidFileError, UnsupportedError. */
  static async open(path: string, device: Device): Promise<ClipModel> {
    const folder = await openClipFolder(path);
    const weights = await folder.openWeights();
    await weights.close();
    const processor = `${path}/preprocessor_config.json`;
    return new ClipModel(folder, await fileId(path, [...[...weights.files].sort(), processor]), device);
  }

  /** Image embeddings after the projection, not normalised: [pictures, projection]. */
  async embedPictures(pictures: readonly RgbImage[]): Promise<FloatTensor> {
    const tower = await this.#vision.get();
    const { projection, imageProcessor } = this.folder;
    return inBatches(pictures, BATCH, projection, (batch) => tower.run(clipPixels(batch, imageProcessor)));
  }

  /** Text embeddings after the projection, not normalised: [texts, projection]; long texts are cut as in sampling. */
  async embedTexts(texts: readonly string[]): Promise<FloatTensor> {
    const encoder = await this.#text.get();
    const tokenizer = await this.folder.loadTokenizer();
    const { projection } = this.folder;
    return inBatches(texts, BATCH, projection, async (batch) => {
      const options = { skippedLayers: 0, normed: false };
      const { pooled } = await encoder.encode(tokenizer.encodePrompts(batch).inputIds, options);
      if (pooled === undefined) throw new TypeError(`${this.folder.path}: the text tower gave no pooled embedding`);
      return pooled;
    });
  }

  async dispose(): Promise<void> {
    (await this.#vision.take())?.dispose();
    (await this.#text.take())?.dispose();
  }
}

async function withWeights<T>(
  folder: ClipFolder,
  use: (weights: Awaited<ReturnType<ClipFolder["openWeights"]>>) => Promise<T>,
): Promise<T> {
  const weights = await folder.openWeights();
  try {
    return await use(weights);
  } finally {
    await weights.close();
  }
}
