import { expect, test } from "vitest";
import { inceptionPixels } from "../../src/quality/pictures/preprocess.js";
import { resizeBytes } from "../../src/quality/pictures/resize.js";
import { bytes, fixture, floats, picture, worst } from "./featureFixture.js";

test.each(fixture.resizes)("resizes $from to $to, $filter, to the byte as Pillow", ({ from, to, filter, rgb }) => {
  const resized = resizeBytes(picture(from[0], from[1], 1), { width: to[0], height: to[1] }, filter);
  expect([resized.width, resized.height]).toEqual(to);
  expect(resized.rgb).toEqual(bytes(rgb));
});

test.each(fixture.cleaned)("resizes $from to 299 × 299 as clean-fid", ({ from, every101 }) => {
  const { dims, data } = inceptionPixels([picture(from[0], from[1], 2)]);
  expect(dims).toEqual([1, 3, 299, 299]);
  const area = 299 * 299;
  const expected = floats(every101);
  const found = expected.map(
    (_, index) => data[((101 * index) % 3) * area + Math.floor((101 * index) / 3)] * 128 + 128,
  );
  expect(worst(found, expected)).toBeLessThan(1e-6);
});
