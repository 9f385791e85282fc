import sharp from "sharp";
import { expect, it } from "vitest";
import { toDataUri } from "../../src/diffusion/image.js";
import { MersenneTwister } from "../../src/numerics/mersenneTwister.js";
import { withWebpPictures } from "../../src/notebook/webpPictures.js";

const generator = new MersenneTwister(1);
const noise = { width: 13, height: 9, rgb: Uint8Array.from({ length: 13 * 9 * 3 }, () => generator.uint32() & 255) };
const flat = { width: 64, height: 64, rgb: new Uint8Array(64 * 64 * 3).fill(200) };

async function pixelsOf(uri: string): Promise<{ format: string; rgb: Uint8Array }> {
  const picture = sharp(Buffer.from(uri.slice(uri.indexOf(",") + 1), "base64"));
  const { format } = await picture.metadata();
  return { format, rgb: Uint8Array.from(await picture.removeAlpha().raw().toBuffer()) };
}

it("exchanges every PNG for a WebP of the same pixels, and nothing else", async () => {
  const [first, second] = await Promise.all([toDataUri(noise), toDataUri(flat)]);
  const output = {
    "application/vnd.plotly.v1+json": {
      layout: { images: [{ source: first }, { source: second }, { source: first }] },
    },
    "text/html": `<img alt="a &lt; b" src="${second}"><p>data:image/png is a type</p>`,
  };
  const found = await withWebpPictures(output);
  const { images } = found["application/vnd.plotly.v1+json"].layout;
  for (const [index, rgb] of [noise.rgb, flat.rgb, noise.rgb].entries())
    expect(await pixelsOf(images[index].source)).toEqual({ format: "webp", rgb });
  expect(found["text/html"]).toBe(output["text/html"].replace(second, images[1].source));
});
