/** `--settings settings.json`: the list of settings that an evaluation compares. */
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { threshold } from "../caching/heuristics/threshold.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import { loadSchedule } from "../caching/schedule/scheduleFile.js";
import { solverNames } from "../diffusion/solvers/index.js";
import { readJson, validate } from "../files/json.js";
import { loadProfile } from "../instrument/profile/profileFile.js";
import { adjustmentReference } from "../study/armAdjustment.js";
import type { Arm } from "../study/result.js";
import { kindSetOf } from "./kinds.js";
import { loadReuseRule } from "./reuse.js";

const schema = z
  .array(
    z
      .strictObject({
        name: z.string(),
        solver: z.enum(solverNames),
        steps: z.number().int().positive(),
        /** a file; like all paths here, relative to the settings file's folder */
        schedule: z.string().optional(),
        /** the paper's threshold on a profile */
        delta: z.number().nonnegative().optional(),
        profile: z.string().optional(),
        kinds: z.string().optional(),
        reuse: z.string().optional(),
        adjustment: z.string().optional(),
      })
      .refine(({ schedule, delta }) => schedule === undefined || delta === undefined, "a schedule or a delta, not both")
      .refine(({ delta, profile }) => (delta === undefined) === (profile === undefined), "delta and profile together")
      .refine(
        ({ schedule, delta, reuse, kinds, adjustment }) =>
          schedule !== undefined ||
          delta !== undefined ||
          [reuse, kinds, adjustment].every((each) => each === undefined),
        "a schedule, or a delta and a profile, beside reuse, kinds and adjustment",
      ),
  )
  .min(1);
type Entry = z.infer<typeof schema>[number];

/**
 * Reads the settings of an evaluation.
 *
 * @throws InvalidFileError for what is missing or wrong in the list or in a file that it names
 */
export async function loadEvaluationSettings(path: string): Promise<Arm[]> {
  const hint = 'for example [{ "name": "plain-20", "solver": "dpmsolver++", "steps": 20 }]';
  const entries = validate(schema, await readJson(path), { file: path, hint });
  return Promise.all(entries.map((entry) => armOf(entry, (file) => resolve(dirname(path), file))));
}

async function armOf(entry: Entry, at: (file: string) => string): Promise<Arm> {
  const { name, solver, steps, delta } = entry;
  const schedule = await scheduleOf(entry, at);
  if (schedule === undefined) return { name, solver, steps };
  const reuse = await loadReuseRule(entry.reuse ?? "hold");
  return {
    name,
    solver,
    steps,
    cached: {
      schedule,
      reuse: reuse.name,
      kinds: entry.schedule ?? kindSetOf(entry.kinds ?? "transformer").label,
      ...(delta === undefined ? {} : { parameter: delta }),
      ...(entry.adjustment === undefined ? {} : { adjustment: await adjustmentReference(at(entry.adjustment)) }),
    },
  };
}

async function scheduleOf(
  { schedule, delta, profile, kinds = "transformer" }: Entry,
  at: (file: string) => string,
): Promise<Schedule | undefined> {
  if (schedule !== undefined) return loadSchedule(at(schedule));
  if (delta === undefined || profile === undefined) return undefined;
  return threshold(await loadProfile(at(profile)), { delta, kinds: kindSetOf(kinds).kinds });
}
