import { join } from "node:path";
import { saveImage } from "../../src/diffusion/image.js";
import { saveEvaluation } from "../../src/study/evaluation/evaluationFile.js";
import { EVALUATION_FILE, pictureName } from "../../src/study/evaluation/index.js";

/** An evaluation's folder of two settings: plain pictures are grey 10 + number, cached ones 100 + number. */
export async function makeEvaluation(folder: string, pictures: number): Promise<void> {
  const SIZE = 24;
  const settings = [
    ["plain", 10, 1.5],
    ["cached", 100, 1],
  ] as const;
  const trajectories = Array.from({ length: pictures }, (_, index) => ({ prompt: `thing ${index}`, seed: 0 }));
  for (const [name, grey] of settings)
    for (const index of trajectories.keys()) {
      const rgb = new Uint8Array(3 * SIZE * SIZE).map((_, value) => (value < 3 ? grey + index : (value * 37) % 256));
      await saveImage(join(folder, name, pictureName(index)), { width: SIZE, height: SIZE, rgb }, { setting: name });
    }
  const one = { value: 1, low: 1, high: 1 };
  await saveEvaluation(join(folder, EVALUATION_FILE), {
    format: "blockcache-evaluation",
    version: 1,
    sampling: {
      model: { fingerprint: "sha256:0", name: "made up" },
      timestep_spacing: "trailing",
      guidance_scale: 5,
      negative_prompt: null,
      latent_size: [3, 3],
      batch: 4,
    },
    machines: ["none"],
    trajectories,
    baseline: "plain",
    extractor: "none",
    settings: settings.map(([name, , speedup]) => ({
      arm: { name, solver: "ddim", steps: 4 },
      images_per_second: one,
      speedup: { ...one, value: speedup },
      multiply_adds: 0,
      metrics: {},
    })),
  });
}
