/** An UNet of Stable Diffusion 1.5's shape with random weights, float16 on disk (1.7 GB). */
import { describeUNet } from "../src/graphs/unet.js";
import { parseUNetConfig } from "../src/models/configs/unet.js";
import { writeComponent } from "./randomWeights.js";
import { SD15_UNET } from "./shapes.js";
import { wholeGraph } from "./singleSession.js";

/** Writes config.json and weights into `folder`, in the layout of a diffusers component. */
export async function writeSd15(folder: string): Promise<void> {
  await writeComponent(folder, "diffusion_pytorch_model", SD15_UNET, wholeGraph(describeUNet(parseUNetConfig(SD15_UNET, "config.json"))).weights);
}
