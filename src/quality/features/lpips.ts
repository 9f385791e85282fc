import { InvalidFileError } from "../../errors.js";
import type { RgbImage } from "../../diffusion/image.js";
import { openDevice } from "../../engine/device.js";
import type { DeviceOptions } from "../../engine/device.js";
import { openSafetensors } from "../../files/safetensors.js";
import { lpipsGraph } from "../../graphs/lpips.js";
import { weightsOf } from "../../models/weights.js";
import { checkSameSize } from "../distance.js";
import { stackedPixels } from "../pictures/preprocess.js";
import { GraphChain } from "./graphChain.js";

/** Learned perceptual distance of two pictures: 0 where they are equal, about 1 where they have nothing in common. */
export interface Lpips {
  /** Throws ArgumentError where the sizes differ. */
  distance(picture: RgbImage, reference: RgbImage): Promise<number>;
  dispose(): Promise<void>;
}

/**
 * Opens LPIPS on AlexNet.
 *
 * @param path safetensors of `lpips.LPIPS(net="alex").state_dict()`; the library does not bring it along
 * @throws InvalidFileError for another file
 */
export async function openLpips(path: string, options: DeviceOptions = {}): Promise<Lpips> {
  const file = await openSafetensors(path);
  try {
    if (!file.tensors.has("lin0.model.1.weight"))
      throw new InvalidFileError({
        file: path,
        found: "no tensor lin0.model.1.weight",
        expected: 'the state_dict of lpips.LPIPS(net="alex")',
        hint: "save it with safetensors",
      });
    const device = await openDevice(options);
    const chain = await GraphChain.load([lpipsGraph(device)], weightsOf([file]), device);
    return {
      async distance(picture, reference) {
        checkSameSize(picture, reference);
        const { data } = await chain.run(stackedPixels([picture, reference], (value) => value / 127.5 - 1));
        return data[0];
      },
      dispose: async () => chain.dispose(),
    };
  } finally {
    await file.close();
  }
}
