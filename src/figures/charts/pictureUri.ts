/** What figures of pictures share. */
import { enlarge, toDataUri } from "../../diffusion/image.js";
import type { RgbImage } from "../../diffusion/image.js";
import { psnr } from "../../quality/distance.js";
import type { PlotlyObject } from "../figure.js";

/** Viewers smooth what they enlarge; pictures of this many pixels need no enlarging. */
const SHARP_PIXELS = 256;

/** A PNG data URI, enlarged without smoothing where the picture is small. */
export async function pictureUri(image: RgbImage): Promise<string> {
  return toDataUri(await enlarge(image, Math.max(1, Math.round(SHARP_PIXELS / Math.max(image.width, image.height)))));
}

/** A PSNR in words. */
export function decibel(value: number): string {
  return value === Infinity ? "equal" : `${value.toFixed(1)} dB`;
}

/** The PSNR of a picture, written into the lower right corner of a cell of `imageStrips`. */
export function psnrLabel(image: RgbImage, reference: RgbImage, column: number, row: number): PlotlyObject {
  return {
    text: decibel(psnr(image, reference)),
    x: column + 0.95,
    y: row + 0.93,
    xanchor: "right",
    yanchor: "bottom",
    showarrow: false,
    font: { size: 10, color: "#ffffff" },
    bgcolor: "rgba(0,0,0,0.55)",
    borderpad: 1,
  };
}
