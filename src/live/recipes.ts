/** Code that does what a page shows, for a cell and for a terminal. */
import { ArgumentError } from "../errors.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import type { LiveDocument } from "./document.js";

export interface Recipes {
  /** TypeScript for a notebook cell */
  readonly cell: string;
  /** for a POSIX shell */
  readonly command: string;
}

/**
 * The run that a page shows now, cached by its schedule.
 *
 * @param model what `loadPipeline` and the command line open it by
 * @throws ArgumentError while the schedule is not known yet
 */
export function recipes(
  { document: { settings, plan }, schedule }: { readonly document: LiveDocument; readonly schedule?: Schedule },
  model: string,
): Recipes {
  if (settings === undefined || schedule === undefined)
    throw new ArgumentError("copy: expected a schedule, found change and costs still being measured — try again");
  const { negativePrompt, schedulerConfig, ...sampling } = settings;
  const options = {
    ...sampling,
    ...(negativePrompt === "" ? {} : { negativePrompt }),
    ...(Object.keys(schedulerConfig).length === 0 ? {} : { schedulerConfig }),
  };
  const cell = `import { cachedRun, generate, loadPipeline, reuseRule, show } from "blockcache";
import type { Schedule } from "blockcache";

const pipeline = await loadPipeline(${JSON.stringify(model)});
const schedule: Schedule = ${JSON.stringify(schedule)};
const cached = await generate(pipeline, {
${Object.entries(options)
  .map(([name, value]) => `  ${name}: ${JSON.stringify(value)},\n`)
  .join("")}  hooks: [cachedRun(schedule, { reuse: reuseRule(${JSON.stringify(plan.reuse)}) })],
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
    ["--reuse", plan.reuse],
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
