/** Change and costs for the settings of a page, kept on disk so that they are measured once. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { measureCosts } from "../../caching/costs/costs.js";
import { loadCosts, saveCosts } from "../../caching/costs/costsFile.js";
import { requireCostsOf } from "../../caching/costs/requireCosts.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { planEvaluations } from "../../diffusion/plannedEvaluations.js";
import { ArgumentError } from "../../errors.js";
import { PAPER_PRESET } from "../../instrument/profile/paperPreset.js";
import { loadProfile } from "../../instrument/profile/profileFile.js";
import { profileChange } from "../../instrument/profile/profileChange.js";
import type { Measurements } from "../../planning/plan.js";
import { measurementKey, sampleOptions } from "../settings.js";
import type { JobOptions, MeasureInput } from "../worker.js";

/** Few: a first picture of how blocks change. A better profile comes from a file (`--profile`). */
const PROMPTS = 4;
/** What the heuristics that compare distant evaluations look at, without keeping too much of a large network. */
const PAIR_WINDOW = 4;
/** Few: a prediction to a few per cent, and both kinds of evaluation are warm afterwards. */
const COST_SAMPLES = 3;

/** Measures, or reads what was measured of the same model, settings and device before. */
export async function measure(
  pipeline: Pipeline,
  { settings, cacheFolder, files = {} }: MeasureInput,
  { signal, onEvent }: JobOptions<"measure">,
): Promise<Measurements> {
  await mkdir(cacheFolder, { recursive: true });
  const { prompt: _, seed: __, ...sampling } = sampleOptions(settings);
  const { latentSize, rowsPerImage: rows } = planEvaluations(pipeline, sampling);
  const machine = [await pipeline.fingerprint(), pipeline.device.name, pipeline.device.precision];
  const file = (kind: string, key: unknown): string =>
    join(
      cacheFolder,
      `${kind}-${createHash("sha256")
        .update(JSON.stringify([machine, key]))
        .digest("hex")
        .slice(0, 24)}.safetensors`,
    );

  const profile =
    files.profile === undefined
      ? await profileChange(pipeline, {
          ...sampling,
          negativePrompt: settings.negativePrompt === "" ? undefined : settings.negativePrompt,
          prompts: PAPER_PRESET.prompts.slice(0, PROMPTS),
          seeds: [0],
          pairWindow: PAIR_WINDOW,
          file: file("profile", measurementKey(settings)),
          signal,
          onProgress: (done, total) => onEvent?.({ label: "measuring how blocks change", done, total }),
        })
      : await loadProfile(files.profile);
  const model = { fingerprint: await pipeline.fingerprint(), name: pipeline.name };
  if (profile.setting.model.fingerprint !== model.fingerprint)
    throw new ArgumentError(
      `profile: expected one of ${model.name}, found one of ${profile.setting.model.name} — \`blockcache profile\` measures this model`,
    );
  const costsFile = files.costs ?? file("costs", [rows, latentSize]);
  if (files.costs !== undefined || existsSync(costsFile)) {
    const costs = await loadCosts(costsFile);
    requireCostsOf(costs, model, latentSize);
    return { profile, costs };
  }
  const costs = await measureCosts(pipeline, {
    rows,
    latentSize,
    samples: COST_SAMPLES,
    signal,
    onProgress: (done, total) => onEvent?.({ label: "timing blocks", done, total }),
  });
  await saveCosts(costsFile, costs);
  return { profile, costs };
}
