import { ArgumentError } from "../errors.js";
import type { RgbImage } from "./image.js";

const WHITE = 255;

/**
 * Pictures of one size side by side, row by row from the top left, white between them and in the
 * places left over in the last row.
 *
 * @param columns pictures per row.
 * @param gap pixels between neighbours; none at the border.
 * @throws ArgumentError with no images, images of different sizes, or invalid columns or gap.
 */
export function montage(images: readonly RgbImage[], columns: number, gap: number): RgbImage {
  if (!Number.isInteger(columns) || columns < 1 || !Number.isInteger(gap) || gap < 0) {
    throw new ArgumentError(
      `montage: columns must be a positive integer and gap an integer ≥ 0, got ${columns} and ${gap}`,
    );
  }
  if (images.length === 0) throw new ArgumentError("montage: at least one image is needed, got none");
  const [{ width, height }] = images;
  const odd = images.find((image) => image.width !== width || image.height !== height);
  if (odd !== undefined) {
    throw new ArgumentError(
      `montage: images of one size are needed, got ${width} × ${height} and ${odd.width} × ${odd.height}`,
    );
  }

  const usedColumns = Math.min(columns, images.length);
  const rows = Math.ceil(images.length / columns);
  const totalWidth = usedColumns * (width + gap) - gap;
  const totalHeight = rows * (height + gap) - gap;
  const rgb = new Uint8Array(totalWidth * totalHeight * 3).fill(WHITE);
  images.forEach((image, index) => {
    const left = (index % columns) * (width + gap);
    const top = Math.floor(index / columns) * (height + gap);
    for (let y = 0; y < height; y++) {
      rgb.set(image.rgb.subarray(y * width * 3, (y + 1) * width * 3), ((top + y) * totalWidth + left) * 3);
    }
  });
  return { width: totalWidth, height: totalHeight, rgb };
}
