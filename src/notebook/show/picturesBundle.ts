import { enlarge, toDataUri } from "../../diffusion/image.js";
import type { RgbImage } from "../../diffusion/image.js";
import type { MimeBundle } from "../jupyter.js";
import { escapeHtml } from "./escapeHtml.js";

/** A picture, and what stands below it. */
export interface CaptionedPicture {
  readonly image: RgbImage;
  readonly caption?: string;
}

/** Small pictures are enlarged by a whole factor to about this many pixels. */
const PICTURE_PIXELS = 256;

/**
 * Pictures side by side, enlarged without smoothing.
 *
 * @param title a line above them, and all that is said of them where there is only text
 * @param pixels the size to which small ones are enlarged
 */
export async function picturesBundle(
  pictures: readonly CaptionedPicture[],
  { title, pixels = PICTURE_PIXELS }: { readonly title?: string; readonly pixels?: number } = {},
): Promise<MimeBundle> {
  const tags = await Promise.all(pictures.map((picture) => figure(picture, pixels)));
  const head = title === undefined ? "" : `<div>${escapeHtml(title)}</div>`;
  return {
    "text/html": `<div>${head}<div style="display:flex;flex-wrap:wrap;gap:4px;align-items:flex-end">${tags.join("")}</div></div>`,
    "text/plain": title ?? pictures.map(describe).join("\n"),
  };
}

async function figure({ image, caption }: CaptionedPicture, pixels: number): Promise<string> {
  const factor = Math.max(1, Math.floor(pixels / Math.max(image.width, image.height)));
  const alt = caption ?? `image ${image.width} by ${image.height} pixels`;
  const picture = `<img alt="${escapeHtml(alt)}" src="${await toDataUri(await enlarge(image, factor))}">`;
  const below = caption === undefined ? "" : `<figcaption>${escapeHtml(caption)}</figcaption>`;
  return `<figure style="margin:0">${picture}${below}</figure>`;
}

function describe({ image, caption }: CaptionedPicture): string {
  return `image ${image.width}×${image.height}${caption === undefined ? "" : `: ${caption}`}`;
}
