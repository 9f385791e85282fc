import { describeUNet } from "../src/graphs/unet.js";
import { parseUNetConfig } from "../src/models/configs/unet.js";
import { writeComponent } from "./randomWeights.js";
import { wholeGraph } from "./singleSession.js";

/**
 * Writes a UNet of a config's shape with random weights, float16 on disk, in the layout of a diffusers component.
 *
 * @param json the content of its config.json
 */
export async function writeRandomUNet(folder: string, json: object): Promise<void> {
  await writeComponent(
    folder,
    "diffusion_pytorch_model",
    json,
    wholeGraph(describeUNet(parseUNetConfig(json, "unet"))).storedTensors(),
  );
}
