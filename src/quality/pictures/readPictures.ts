import { readdir } from "node:fs/promises";
import { extname } from "node:path";
import sharp from "sharp";
import { InvalidFileError } from "../../errors.js";
import type { RgbImage } from "../../diffusion/image.js";

const EXTENSIONS = [".png", ".jpg", ".jpeg", ".webp"];

/** The pictures of a folder (png, jpeg, webp) in the order of their file names. Throws InvalidFileError where there is none. */
export async function pictureNames(folder: string): Promise<string[]> {
  const expected = `a folder of pictures (${EXTENSIONS.join(", ")})`;
  const names = await readdir(folder).catch(() => {
    throw new InvalidFileError({ file: folder, found: "no readable folder", expected });
  });
  const pictures = names.filter((name) => EXTENSIONS.includes(extname(name).toLowerCase())).sort();
  if (pictures.length === 0)
    throw new InvalidFileError({ file: folder, found: `${names.length} other files`, expected });
  return pictures;
}

/**
 * One picture as 8-bit sRGB; transparent parts are laid on white. Throws InvalidFileError where it cannot be decoded.
 */
export async function readPicture(path: string): Promise<RgbImage> {
  try {
    const { data, info } = await sharp(path)
      .flatten({ background: "white" })
      .toColourspace("srgb")
      .raw()
      .toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, rgb: new Uint8Array(data) };
  } catch (error) {
    throw new InvalidFileError({
      file: path,
      found: error instanceof Error ? error.message.split("\n")[0] : String(error),
      expected: "a picture",
      hint: "the file is damaged; make it again or take it out of the folder",
    });
  }
}

/** Throws InvalidFileError where a picture is not of the first one's size. */
export function requireSize(
  path: string,
  { width, height }: RgbImage,
  first: Pick<RgbImage, "width" | "height"> & { readonly name: string },
): void {
  if (width === first.width && height === first.height) return;
  throw new InvalidFileError({
    file: path,
    found: `${width}×${height} pixels`,
    expected: `${first.width}×${first.height}, as ${first.name} has`,
    hint: "pictures of several sizes are usually a mistake; --mixed-sizes accepts them, each resized on its own",
  });
}
