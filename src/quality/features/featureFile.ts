/**
 * Features on disk, safetensors: `features` [pictures, width] with the pictures' names in the metadata; or, for a set
 * that is only used for Fréchet distances, `mean` [width] and `covariance` [width, width].
 */
import { InvalidFileError } from "../../errors.js";
import { openSafetensors, writeSafetensors } from "../../files/safetensors.js";
import type { OutgoingTensor, SafetensorsFile } from "../../files/safetensors.js";
import type { FeatureStatistics, Features } from "./features.js";

const HINT = "`blockcache features` writes such files";

/** Writes features as float32, as they were computed; the file is replaced in one go. */
export async function saveFeatures(path: string, features: Features, names: readonly string[]): Promise<void> {
  const { pictures, width, data, extractor = "" } = features;
  const tensor: OutgoingTensor = { dtype: "F32", dims: [pictures, width], data: Float32Array.from(data) };
  await writeSafetensors(path, new Map([["features", tensor]]), {
    format: "blockcache-features",
    version: "1",
    extractor,
    pictures: JSON.stringify(names),
  });
}

/** Writes mean and covariance as float32; the file is replaced in one go. */
export async function saveFeatureStatistics(path: string, statistics: FeatureStatistics): Promise<void> {
  const { pictures, width, mean, covariance, extractor = "" } = statistics;
  const tensors = new Map<string, OutgoingTensor>([
    ["mean", { dtype: "F32", dims: [width], data: Float32Array.from(mean) }],
    ["covariance", { dtype: "F32", dims: [width, width], data: Float32Array.from(covariance) }],
  ]);
  const metadata = { format: "blockcache-feature-statistics", version: "1", extractor, pictures: String(pictures) };
  await writeSafetensors(path, tensors, metadata);
}

/**
 * Reads features. Files that Python wrote need no metadata, and may hold float64.
 *
 * @throws InvalidFileError for another kind of file, or numbers that are not finite
 */
export async function loadFeatures(path: string): Promise<Features> {
  const file = await openSafetensors(path);
  try {
    return await featuresIn(file);
  } finally {
    await file.close();
  }
}

/** Reads either kind of file; see {@link loadFeatures}. */
export async function loadFeaturesOrStatistics(path: string): Promise<Features | FeatureStatistics> {
  const file = await openSafetensors(path);
  try {
    if (file.tensors.has("features") || !file.tensors.has("covariance")) return await featuresIn(file);
    const [width = 0] = file.tensors.get("mean")?.dims ?? [];
    return {
      pictures: Number(file.metadata.pictures ?? Infinity),
      width,
      mean: await matrix(file, "mean", [width]),
      covariance: await matrix(file, "covariance", [width, width]),
      extractor: file.metadata.extractor || undefined,
    };
  } finally {
    await file.close();
  }
}

async function featuresIn(file: SafetensorsFile): Promise<Features> {
  const [pictures = 0, width = 0] = file.tensors.get("features")?.dims ?? [];
  const data = await matrix(file, "features", [pictures, width]);
  return { pictures, width, data, extractor: file.metadata.extractor || undefined };
}

async function matrix(file: SafetensorsFile, name: string, dims: readonly number[]): Promise<Float64Array> {
  const found = file.tensors.get(name);
  if (found === undefined || found.dims.join() !== dims.join() || found.dims.includes(0))
    throw new InvalidFileError({
      file: file.path,
      field: name,
      found: found === undefined ? "no such tensor" : `[${found.dims.join(", ")}]`,
      expected: name === "features" ? "[pictures, width]" : `[${dims.join(", ")}]`,
      hint: HINT,
    });
  const data =
    found.dtype === "F64"
      ? new Float64Array((await file.readRaw(name)).buffer)
      : Float64Array.from((await file.readFloat32(name)).data);
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad !== -1)
    throw new InvalidFileError({
      file: file.path,
      field: name,
      found: `${data[bad]} at picture ${Math.floor(bad / dims[dims.length - 1])}`,
      expected: "finite numbers",
      hint: "the picture or the extractor is damaged; extract the features again",
    });
  return data;
}
