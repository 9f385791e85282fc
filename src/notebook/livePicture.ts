import { escapeHtml } from "./show/escapeHtml.js";

/** Pixels a side of a picture while it forms. */
const PICTURE_PIXELS = 256;

/** A picture of one size whatever its pixels, with a line below it. */
export function livePicture(uri: string, caption: string): string {
  return `<div><img alt="${escapeHtml(caption)}" src="${uri}" style="width:${PICTURE_PIXELS}px;height:auto;image-rendering:pixelated"><div>${escapeHtml(caption)}</div></div>`;
}
