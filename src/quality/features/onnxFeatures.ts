/** An ONNX file as an extractor of features: one input of pixels, whose first output is the features. */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InvalidFileError } from "../../errors.js";
import type { Device } from "../../engine/device.js";
import { download, upload } from "../../engine/transfer.js";
import { parseImageProcessorConfig } from "../../models/configs/imageProcessor.js";
import { readJson } from "../../files/json.js";
import { elementCount } from "../../numerics/tensor.js";
import { clipPixels } from "../pictures/preprocess.js";
import type { FeatureExtractor } from "./features.js";

/**
 * Opens an ONNX file; a preprocessor_config.json beside it says how pictures become its pixels.
 *
 * @param id of the extractor
 * @throws InvalidFileError where one of the two is missing or not such a file
 */
export async function openOnnxFeatures(path: string, id: string, device: Device): Promise<FeatureExtractor> {
  const processorFile = join(dirname(path), "preprocessor_config.json");
  const processor = parseImageProcessorConfig(await readJson(processorFile), processorFile);
  const bytes = new Uint8Array(await readFile(path));
  const graph = await device.backend
    .compile({ bytes, externalData: [], isRepeatable: false })
    .catch((error: unknown) => {
      const found = error instanceof Error ? error.message.split("\n")[0] : String(error);
      throw new InvalidFileError({ file: path, found, expected: "an ONNX model that onnxruntime runs" });
    });
  const [input] = graph.inputs;
  const [output] = graph.outputs;
  const embed: FeatureExtractor["embed"] = async (pictures) => {
    const rows: Float32Array[] = [];
    for (const picture of pictures) {
      using pixels = upload(device, clipPixels([picture], processor), device.precision);
      const [result] = await graph.run({ [input]: pixels }, [output]);
      using embedded = result;
      const { dims, data } = await download(device, embedded);
      if (dims[0] !== 1 || elementCount(dims.slice(1)) !== data.length)
        throw new InvalidFileError({
          file: path,
          field: output,
          found: `[${dims.join(", ")}] for one picture`,
          expected: "[1, width]",
        });
      rows.push(Float32Array.from(data));
    }
    const [{ length: width }] = rows;
    const data = new Float32Array(rows.length * width);
    rows.forEach((row, index) => data.set(row, index * width));
    return { dims: [rows.length, width], data };
  };
  return { id, embed, dispose: async () => graph.release() };
}
