/** Code that does what a page shows, for a cell and for a terminal. */
import type { SamplingSettings } from "./settings.js";
import type { CachedBy } from "./worker.js";

export interface Recipes {
  /** TypeScript for a notebook cell */
  readonly cell: string;
  /** for a POSIX shell */
  readonly command: string;
}

/**
 * One run, cached.
 *
 * @param model what `loadPipeline` and the command line open it by
 */
export function recipes(settings: SamplingSettings, { schedule, reuse, adjustment }: CachedBy, model: string): Recipes {
  const { negativePrompt, schedulerConfig, ...sampling } = settings;
  const options = {
    ...sampling,
    ...(negativePrompt === "" ? {} : { negativePrompt }),
    ...(Object.keys(schedulerConfig).length === 0 ? {} : { schedulerConfig }),
  };
  const load = adjustment === undefined ? "" : "loadAdjustment, ";
  const mend = adjustment === undefined ? "" : `, adjustment: await loadAdjustment(${JSON.stringify(adjustment)})`;
  const cell = `import { cachedRun, generate, ${load}loadPipeline, reuseRule, show } from "blockcache";
import type { Schedule } from "blockcache";

const pipeline = await loadPipeline(${JSON.stringify(model)});
const schedule: Schedule = ${JSON.stringify(schedule)};
const cached = await generate(pipeline, {
${Object.entries(options)
  .map(([name, value]) => `  ${name}: ${JSON.stringify(value)},\n`)
  .join("")}  hooks: [cachedRun(schedule, { reuse: reuseRule(${JSON.stringify(reuse)})${mend} })],
});
await show(cached.images);
`;
  const flags = [
    ["--prompt", settings.prompt],
    ...(negativePrompt === "" ? [] : [["--negative-prompt", negativePrompt]]),
    ["--seed", settings.seed],
    ["--solver", settings.solver],
    ...Object.entries(schedulerConfig).map(([key, value]) => ["--scheduler-config", `${key}=${JSON.stringify(value)}`]),
    ["--steps", settings.steps],
    ["--guidance-scale", settings.guidanceScale],
    ["--height", settings.height],
    ["--width", settings.width],
    ["--schedule", "schedule.json"],
    ["--reuse", reuse],
    ...(adjustment === undefined ? [] : [["--adjustment", adjustment]]),
    ["--out", "cached.png"],
  ];
  const command = `printf '%s' ${quoted(JSON.stringify(schedule))} > schedule.json
npx blockcache sample ${quoted(model)} ${flags.map(([flag, value]) => `${flag} ${quoted(String(value))}`).join(" ")}
`;
  return { cell, command };
}

/** A text as one word of a POSIX shell. */
function quoted(text: string): string {
  return /^[\w./:=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
