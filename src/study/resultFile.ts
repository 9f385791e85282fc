/** A study's result on disk: one JSON file. An infinite PSNR (equal pictures) stands there as "Infinity". */
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { TERMS } from "../caching/adjustment/adjustment.js";
import { scheduleSchema } from "../caching/schedule/checkSchedule.js";
import { solverNames } from "../diffusion/solvers/index.js";
import { InvalidFileError } from "../errors.js";
import { readJson, validate } from "../files/json.js";
import { replaceFile } from "../files/replaceFile.js";
import type { StudyResult } from "./result.js";

const numbers = z.array(z.number());
const infinity = z.literal("Infinity").transform(() => Infinity);
const distances = z.object({ latent: numbers, psnr: z.array(z.union([z.number(), infinity])), ssim: numbers });

export const armSchema = z.object({
  name: z.string(),
  solver: z.enum(solverNames),
  steps: z.number().int().positive(),
  also: z.array(z.string()).optional(),
  cached: z
    .object({
      schedule: scheduleSchema,
      reuse: z.string(),
      reuseDigest: z.string().optional(),
      adjustment: z.object({ file: z.string(), sha256: z.string(), terms: z.array(z.enum(TERMS)) }).optional(),
      askedSpeedups: numbers.optional(),
      kinds: z.string(),
      parameter: z.number().optional(),
    })
    .optional(),
});

const schema = z.object({
  format: z.literal("blockcache-study"),
  version: z.literal(1),
  model: z.object({ fingerprint: z.string(), name: z.string() }),
  solver: z.enum(solverNames),
  guidance_scale: z.number(),
  steps: z.number().int().positive(),
  converged_steps: z.number().int().positive(),
  timestep_spacing: z.string(),
  batch: z.number().int().positive(),
  machine: z.string(),
  trajectories: z.array(z.object({ prompt: z.string(), seed: z.number() })).min(1),
  repeated: z.number().int().positive().optional(),
  results: z.array(
    z.object({
      arm: armSchema,
      toConverged: distances,
      toPlain: distances.optional(),
      evaluations: z.number().int().positive().optional(),
      seconds: numbers.min(1),
      plainSeconds: numbers.optional(),
      computedShare: z.number(),
      predictedSpeedup: z.number().optional(),
    }),
  ),
  failed: z.array(z.object({ arm: armSchema, reason: z.string() })).optional(),
});

/** The result, in the folder that `runStudy` filled. */
export const STUDY_FILE = "study.json";

/** Writes a result; the file is replaced in one go. */
export async function saveStudy(path: string, study: StudyResult): Promise<void> {
  const text = JSON.stringify(study, (_, value: unknown) => (value === Infinity ? "Infinity" : value));
  await replaceFile(path, (temporary) => writeFile(temporary, `${text}\n`));
}

/**
 * Reads a result: a `study.json`, or the folder that `runStudy` filled.
 *
 * @throws InvalidFileError where it is missing, no study, or its lists do not have an entry for each trajectory
 */
export async function loadStudy(path: string): Promise<StudyResult> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  const file = isFolder ? join(path, STUDY_FILE) : path;
  const study = validate(schema, await readJson(file), {
    file,
    hint: "it must be a study as `blockcache sweep` writes it; an interrupted one has none yet: run it again",
  });
  const count = study.trajectories.length;
  for (const [index, { toConverged, toPlain }] of study.results.entries()) {
    for (const [name, each] of Object.entries({ toConverged, toPlain })) {
      const odd = Object.entries(each ?? {}).find(([, values]) => values.length !== count);
      if (odd !== undefined)
        throw new InvalidFileError({
          file,
          field: `results.${index}.${name}.${odd[0]}`,
          found: `${odd[1].length} values`,
          expected: `${count}, one a trajectory`,
        });
    }
  }
  return study;
}
