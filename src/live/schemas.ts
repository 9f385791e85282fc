/** What pages and session files may say: checked before anything is done with it. */
import { z } from "zod";
import { scheduleProblem, scheduleSchema } from "../caching/schedule/checkSchedule.js";
import { solverNames } from "../diffusion/solvers/index.js";
import { ArgumentError } from "../errors.js";
import { schemaProblem } from "../files/schemaProblem.js";

/** Far above what people use, and small enough that nothing of this size hurts. */
const LIMITS = {
  text: 4000,
  name: 200,
  steps: 1000,
  pixels: 4096,
  prompts: 100,
  seeds: 32,
  blocks: 5000,
  points: 500,
  tokens: 1000,
};

const text = z.string().max(LIMITS.text);
const name = z.string().max(LIMITS.name);
const evaluation = z
  .number()
  .int()
  .min(0)
  .max(10 * LIMITS.steps);
const seed = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const kind = z.enum(["conv_in", "conv_out", "resnet", "transformer", "downsampler", "upsampler"]);
const mark = z.enum(["compute", "reuse"]);
const option = z.union([z.number(), name]);

export const settingsSchema = z.strictObject({
  prompt: text,
  negativePrompt: text,
  seed,
  solver: z.enum(solverNames),
  // What the keys may hold is the solver's to say.
  schedulerConfig: z
    .record(name, z.unknown())
    .refine((config) => JSON.stringify(config).length <= LIMITS.text * 4, "a scheduler's config"),
  steps: z.number().int().min(1).max(LIMITS.steps),
  guidanceScale: z.number().min(0).max(100),
  height: z.number().int().min(8).max(LIMITS.pixels),
  width: z.number().int().min(8).max(LIMITS.pixels),
});

export const checkedScheduleSchema = scheduleSchema.superRefine((schedule, context) => {
  const problem = scheduleProblem(schedule);
  if (problem !== undefined)
    context.addIssue({
      code: "custom",
      message: `${problem.field}: expected ${problem.expected}, found ${problem.found}`,
    });
});

const ends = z.strictObject({
  first: z.number().int().min(1).max(LIMITS.steps),
  last: z.number().int().min(0).max(LIMITS.steps),
});
const options = z.record(name, option);
const kinds = z.array(kind).min(1).max(6);
const age = z.number().int().min(0).max(LIMITS.steps);
const speedup = z.number().positive().max(1000);

export const planSchema = z.strictObject({
  heuristic: name,
  options,
  speedup: speedup.optional(),
  kinds,
  reuse: name,
  adjusted: z.boolean().optional(),
  ends,
  maxAge: age.optional(),
  cells: z.record(name, z.record(z.string().regex(/^\d{1,5}$/), mark)),
  imported: checkedScheduleSchema.optional(),
});

const editSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("set"),
    values: z
      .strictObject({
        heuristic: name,
        options,
        kinds,
        reuse: name,
        adjusted: z.boolean(),
        ends,
        speedup: speedup.nullable(),
        maxAge: age.nullable(),
      })
      .partial(),
  }),
  z.strictObject({
    kind: z.literal("paint"),
    mark: z.enum(["compute", "reuse", "clear"]),
    blocks: z.array(name).max(LIMITS.blocks),
    evaluations: z.array(evaluation).max(10 * LIMITS.steps),
  }),
  z.strictObject({ kind: z.literal("import"), schedule: checkedScheduleSchema, reuse: name.optional() }),
  z.strictObject({ kind: z.literal("restore"), plan: planSchema }),
]);

const judgedSetSchema = z.strictObject({
  prompts: z.array(text).min(1).max(LIMITS.prompts),
  seeds: z.array(seed).min(1).max(LIMITS.seeds),
  convergedSteps: z.number().int().min(1).max(LIMITS.steps),
});

/** What a page may ask of a session. */
export const commandSchema = z.discriminatedUnion("command", [
  /** edits of one stroke are taken back together */
  z.strictObject({ command: z.literal("edit"), edit: editSchema, stroke: name.optional() }),
  z.strictObject({ command: z.literal("undo") }),
  z.strictObject({ command: z.literal("redo") }),
  z.strictObject({ command: z.literal("settings"), values: settingsSchema.partial() }),
  z.strictObject({ command: z.literal("follow"), on: z.boolean() }),
  z.strictObject({ command: z.literal("sample") }),
  z.strictObject({ command: z.literal("stop") }),
  z.strictObject({ command: z.literal("other"), do: z.enum(["keep", "drop"]) }),
  z.strictObject({ command: z.literal("look"), block: name }),
  z.strictObject({ command: z.literal("judgedSet"), values: judgedSetSchema.partial() }),
  z.strictObject({ command: z.literal("judge"), add: z.enum(["this", "values", "plain"]) }),
  z.strictObject({ command: z.literal("judging"), on: z.boolean() }),
  z.strictObject({ command: z.literal("forgetPoints") }),
]);
export type SessionCommand = z.infer<typeof commandSchema>;

const picture = z.string().regex(/^data:image\/(png|bmp);base64,[A-Za-z0-9+/=]*$/);
const count = z.number().int().min(0);
const seconds = z.number().min(0);
const runView = z.strictObject({
  step: count,
  total: count,
  final: z.boolean(),
  seconds: seconds.optional(),
});
const attentionRows = z
  .array(z.strictObject({ label: name, share: z.number().min(0).max(1.001).optional(), picture }))
  .max(LIMITS.tokens);
const runState = z.enum(["finished", "stopped", "failed"]);

/** A session on disk. */
export const sessionFileSchema = z.strictObject({
  format: z.literal("blockcache-session"),
  version: z.literal(1),
  model: z.strictObject({ name: text, fingerprint: name }),
  settings: settingsSchema,
  plan: planSchema,
  follows: z.boolean(),
  other: z.strictObject({ schedule: checkedScheduleSchema, reuse: name }).optional(),
  comparison: z
    .strictObject({
      state: runState,
      stale: z.boolean(),
      settings: settingsSchema,
      plan: planSchema,
      lit: z.array(z.strictObject({ computed: z.array(name), reused: z.array(name) })).max(10 * LIMITS.steps),
      plain: runView,
      cached: runView,
      plainKept: z.boolean().optional(),
      speedup: z.number().positive().optional(),
      predictedSpeedup: z.number().positive(),
      adjusted: z.boolean().optional(),
      psnr: z.number().nullable().optional(),
      problem: text.optional(),
    })
    .optional(),
  pictures: z.strictObject({ plain: picture, cached: picture, difference: picture }).partial(),
  strip: z
    .strictObject({
      block: name,
      state: runState,
      settings: settingsSchema,
      strip: z
        .strictObject({
          block: name,
          evaluations: z.array(evaluation),
          timesteps: z.array(z.number()),
          pictures: z.array(picture).max(100),
          attention: z.strictObject({ text: attentionRows, pixels: attentionRows }).optional(),
        })
        .optional(),
      problem: text.optional(),
    })
    .optional(),
  judged: judgedSetSchema.extend({
    points: z
      .array(
        z.strictObject({
          id: name,
          label: text,
          settings: settingsSchema,
          plan: planSchema.optional(),
          schedule: checkedScheduleSchema.optional(),
          adjusted: z.boolean().optional(),
          predictedSeconds: seconds,
          evaluations: count.optional(),
          results: z.array(z.strictObject({ error: z.number().min(0), seconds })),
          problem: text.optional(),
        }),
      )
      .max(LIMITS.points),
  }),
});
export type SessionFile = z.infer<typeof sessionFileSchema>;

/** Names that would reach into every object. */
const POLLUTING: readonly string[] = ["__proto__", "constructor", "prototype"];

/**
 * Text from a page, checked.
 *
 * @param what it is, for the message
 * @throws ArgumentError that names what is wrong: no JSON, a name that reaches into every object, or against the schema
 */
export function parseChecked<Schema extends z.ZodType>(schema: Schema, json: string, what: string): z.infer<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(json, (key, each: unknown) => {
      if (POLLUTING.includes(key)) throw new ArgumentError(`${what}: expected plain data, found the name ${key}`);
      return each;
    });
  } catch (error) {
    if (error instanceof ArgumentError) throw error;
    throw new ArgumentError(`${what}: expected JSON, found ${JSON.stringify(json.slice(0, 40))}`);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { field, found, expected } = schemaProblem(parsed.error, value);
  throw new ArgumentError(`${what}: ${field === undefined ? "" : `${field}: `}expected ${expected}, found ${found}`);
}
