import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { saveImage } from "../../src/diffusion/image.js";
import { openDevice } from "../../src/engine/device.js";
import { writeSafetensors } from "../../src/files/safetensors.js";
import type { OutgoingTensor } from "../../src/files/safetensors.js";
import { FLOAT32, GraphBuilder } from "../../src/graphs/graphBuilder.js";
import { lpipsGraph } from "../../src/graphs/lpips.js";
import { inceptionGraph } from "../../src/graphs/inceptionV3.js";
import { MersenneTwister } from "../../src/numerics/mersenneTwister.js";
import { elementCount } from "../../src/numerics/tensor.js";
import { ClipModel } from "../../src/quality/features/clipModel.js";
import { extractFolder } from "../../src/quality/features/extractFolder.js";
import { openExtractor } from "../../src/quality/features/extractor.js";
import { featuresOf } from "../../src/quality/features/features.js";
import { openLpips } from "../../src/quality/features/lpips.js";
import { clipCosines } from "../../src/quality/sets/clipScore.js";
import { fixture, floats, picture, worst } from "./featureFixture.js";

const FIXTURES = fileURLToPath(new URL("../fixtures", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "blockcache-features-"));
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  [
    "fluent-clip",
    join(dirname(dirname(FIXTURES)), "models", "fluent-clip"),
    [picture(192, 192, 0), picture(192, 192, 1), picture(192, 192, 2)],
  ],
  ["clip-like", join(FIXTURES, "clip-like"), [picture(64, 90, 0), picture(90, 64, 1), picture(50, 50, 2)]],
])("%s: image and text embeddings equal transformers' CLIPModel", async (name, path, pictures) => {
  const expected = fixture.clips[name];
  const clip = await ClipModel.open(path, await openDevice());
  const [images, texts] = [await clip.embedPictures(pictures), await clip.embedTexts(expected.texts)];
  expect(worst(images.data, floats(expected.image))).toBeLessThan(1e-4);
  expect(worst(texts.data, floats(expected.text))).toBeLessThan(1e-4);
  const cosines = clipCosines(featuresOf(images, clip.id), featuresOf(texts, clip.id));
  expect(worst(cosines, expected.cosines)).toBeLessThan(1e-4);
  await clip.dispose();
});

/** Weights as features.py draws them, in the order of their names. */
async function writeDrawn(
  path: string,
  graph: GraphBuilder,
  seed: number,
  value: (u: number, name: string, dims: readonly number[]) => number,
): Promise<void> {
  const generator = new MersenneTwister(seed);
  const named = [...graph.storedTensors()].sort((a, b) => (a.tensor < b.tensor ? -1 : 1));
  const tensors = new Map<string, OutgoingTensor>();
  for (const { tensor, dims } of named) {
    const shape = NAMED[tensor];
    const data =
      shape ??
      Float32Array.from({ length: elementCount(dims) }, () =>
        value((2 * generator.uint32()) / 2 ** 32 - 1, tensor, dims),
      );
    tensors.set(tensor, { dtype: "F32", dims, data });
  }
  await writeSafetensors(path, tensors);
}

/** Numbers that are fixed: how LPIPS shifts and scales pixels. */
const NAMED: Readonly<Record<string, Float32Array>> = {
  "scaling_layer.shift": Float32Array.of(-0.03, -0.088, -0.188),
  "scaling_layer.scale": Float32Array.of(0.458, 0.448, 0.45),
};

const spread = (dims: readonly number[]): number => Math.sqrt(6 / elementCount(dims.slice(1)));

test("LPIPS equals the package of that name", async () => {
  const path = join(folder, "lpips.safetensors");
  await writeDrawn(path, lpipsGraph(FLOAT32), 2, (u, name, dims) => {
    if (name.startsWith("lin")) return Math.abs(u);
    return name.endsWith("weight") ? u * spread(dims) : 0.1 * u;
  });
  const lpips = await openLpips(path);
  const [one, other] = [picture(80, 64, 0), picture(80, 64, 1)];
  expect(Math.abs((await lpips.distance(one, other)) / fixture.lpips - 1)).toBeLessThan(1e-4);
  expect(await lpips.distance(one, one)).toBe(0);
  await expect(lpips.distance(one, picture(64, 80, 0))).rejects.toThrow(/reference: expected 80×64 pixels/);
  await lpips.dispose();
  await expect(openLpips(join(FIXTURES, "embedded.safetensors"))).rejects.toThrow(/expected the state_dict of lpips/);
}, 300_000);

test("Inception-v3's features equal pytorch-fid's network on clean-fid's pixels", async () => {
  const path = join(folder, "inception.safetensors");
  await writeDrawn(path, inceptionGraph(FLOAT32), 1, (u, name, dims) => {
    if (name.endsWith("conv.weight")) return u * spread(dims);
    if (name.endsWith("running_var")) return 1 + 0.5 * u;
    return name.endsWith("bn.weight") ? 1 + 0.2 * u : 0.1 * u;
  });
  const inception = await openExtractor(path);
  const found = await inception.embed(fixture.inception.shapes.map(([width, height]) => picture(width, height, 2)));
  expect(found.dims).toEqual([2, 2048]);
  expect(worst(found.data, floats(fixture.inception.features))).toBeLessThan(1e-4);
  await inception.dispose();
}, 300_000);

test("an ONNX file with a preprocessor_config.json is an extractor", async () => {
  const graph = new GraphBuilder("mean", FLOAT32);
  const x = graph.input("pixels", ["batch", 3, 8, 8]);
  const pooled = graph.node("GlobalAveragePool", [x]);
  graph.output("features", graph.node("Reshape", [pooled, graph.integers([-1, 3])]), ["batch", 3]);
  const path = join(folder, "mean.onnx");
  writeFileSync(path, graph.encodeWithoutWeights().bytes);
  const size = { height: 8, width: 8 };
  const processor = { size, resample: 2, do_center_crop: false, image_mean: [0, 0, 0], image_std: [1, 1, 1] };
  writeFileSync(join(folder, "preprocessor_config.json"), JSON.stringify(processor));
  const extractor = await openExtractor(path);
  const rgb = new Uint8Array(3 * 64).map((_, index) => [51, 102, 204][index % 3]);
  const { data } = await extractor.embed([{ width: 8, height: 8, rgb }]);
  expect(worst(data, [0.2, 0.4, 0.8])).toBeLessThan(1e-6);
  await extractor.dispose();
});

test("pictures of a folder: the order of their names; another size and a damaged file are refused", async () => {
  const pictures = join(folder, "pictures");
  await saveImage(join(pictures, "b.png"), picture(20, 20, 1));
  await saveImage(join(pictures, "a.png"), picture(20, 20, 0));
  const extractor = await openExtractor();
  const { data } = await extractFolder(extractor, pictures, ["a.png", "b.png"]);
  const expected = await extractor.embed([picture(20, 20, 0), picture(20, 20, 1)]);
  expect(data).toEqual(Float64Array.from(expected.data));
  await saveImage(join(pictures, "c.png"), picture(21, 20, 2));
  const names = ["a.png", "b.png", "c.png"];
  await expect(extractFolder(extractor, pictures, names)).rejects.toThrow(
    /c\.png: expected 20×20, as a\.png has, found 21×20/,
  );
  expect((await extractFolder(extractor, pictures, names, { mixedSizes: true })).pictures).toBe(3);
  writeFileSync(join(pictures, "d.png"), "no picture");
  await expect(extractFolder(extractor, pictures, ["d.png"])).rejects.toThrow(/d\.png: expected a picture, found/);
  await extractor.dispose();
});

test("what is no extractor is refused by name", async () => {
  await expect(openExtractor("nowhere")).rejects.toThrow(/found "nowhere", which is not there/);
  copyFileSync(join(FIXTURES, "embedded.safetensors"), join(folder, "other.safetensors"));
  await expect(openExtractor(join(folder, "other.safetensors"))).rejects.toThrow(
    /expected an Inception-v3 with pytorch-fid's names/,
  );
});
