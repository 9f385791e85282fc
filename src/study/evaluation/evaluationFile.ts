/** An evaluation's result on disk: one JSON file. What is not finite stands there as "Infinity" or "NaN". */
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { readJson, validate } from "../../files/json.js";
import { replaceFile } from "../../files/replaceFile.js";
import { armSchema } from "../resultFile.js";
import type { Evaluation } from "./evaluation.js";

/** The result's name in its folder. */
export const EVALUATION_FILE = "evaluation.json";

const number = z.union([z.number(), z.enum(["Infinity", "-Infinity", "NaN"]).transform(Number)]);
const estimate = z.object({ value: number, low: number, high: number });

const schema: z.ZodType<Evaluation> = z.object({
  format: z.literal("blockcache-evaluation"),
  version: z.literal(1),
  sampling: z.object({
    model: z.object({ fingerprint: z.string(), name: z.string() }),
    timestep_spacing: z.string(),
    scheduler_config: z.record(z.string(), z.unknown()).optional(),
    guidance_scale: z.number(),
    negative_prompt: z.string().nullable(),
    latent_size: z.tuple([z.number(), z.number()]),
    batch: z.number().int().positive(),
  }),
  machines: z.array(z.string()),
  trajectories: z.array(z.object({ prompt: z.string(), seed: z.number() })).min(1),
  repeated: z.number().int().positive().optional(),
  baseline: z.string(),
  extractor: z.string(),
  reference: z.object({ name: z.string(), pictures: z.number() }).optional(),
  settings: z
    .array(
      z.object({
        arm: armSchema,
        images_per_second: estimate,
        speedup: estimate,
        multiply_adds: z.number(),
        metrics: z.record(
          z.string(),
          estimate.extend({ unbiased: number.optional(), difference: estimate.optional() }),
        ),
      }),
    )
    .min(1),
});

/** Writes a result; the file is replaced in one go. */
export async function saveEvaluation(path: string, evaluation: Evaluation): Promise<void> {
  const text = JSON.stringify(
    evaluation,
    (_, value: unknown) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : value),
    1,
  );
  await replaceFile(path, (temporary) => writeFile(temporary, `${text}\n`));
}

/**
 * Reads a result: an `evaluation.json`, or the folder that `evaluate` filled.
 *
 * @throws InvalidFileError where it is missing or no evaluation
 */
export async function loadEvaluation(path: string): Promise<Evaluation> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  const file = isFolder ? join(path, EVALUATION_FILE) : path;
  return validate(schema, await readJson(file), {
    file,
    hint: "it must be what `blockcache evaluate` writes; an interrupted evaluation has none yet: run it again",
  });
}
