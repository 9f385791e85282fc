/** An evaluation in the layout of the paper's Table 1, for people and for spreadsheets. */
import { repeatedTrajectories } from "../../instrument/profile/trajectories.js";
import { SET_METRICS, metricNamed } from "../../quality/metrics.js";
import { alignedTable, csvLine } from "../table.js";
import { PAPER_SOURCE, paperRowOf } from "./paperTable.js";
import type { EvaluatedSetting, Estimate, Evaluation, MetricResult } from "./evaluation.js";

/** ↓ or ↑, which way is better, as the paper marks its columns. */
function arrow(metric: string): string {
  return metricNamed(metric).betterWhen === "lower" ? "↓" : "↑";
}

/**
 * Lines of a table: a row a setting, every number with its 95 % interval and its difference to the baseline's; at the right
 * the paper's own numbers, where a setting is one of its rows.
 */
export function evaluationTable(evaluation: Evaluation): string[] {
  const { settings, baseline } = evaluation;
  const metrics = metricNames(evaluation);
  const hasPaperRows = settings.some(({ arm }) => paperRowOf(arm) !== undefined);
  const head = [
    "setting",
    "solver",
    "steps",
    "caching",
    "scale-shift",
    ...metrics.flatMap((name) => {
      const title = `${metricNamed(name).title} ${arrow(name)}`;
      return isOfSet(name) ? [title, `− ${baseline}'s`] : [`${title} to ${baseline}`];
    }),
    "images/s ↑",
    "speed-up ↑",
    "G multiply-adds",
    ...(hasPaperRows ? ["| paper's FID ↓", "paper's images/s ↑", "paper's speed-up ↑"] : []),
  ];
  const rows = settings.map((setting) => [
    setting.arm.name,
    setting.arm.solver,
    String(setting.arm.steps),
    cachingOf(setting),
    setting.arm.cached?.adjustment === undefined ? "" : "✓",
    ...metrics.flatMap((name) => metricCells(name, setting.metrics[name])),
    withInterval(setting.images_per_second, 2),
    withInterval(setting.speedup, 2),
    (setting.multiply_adds / 1e9).toPrecision(3),
    ...(hasPaperRows ? paperCells(setting) : []),
  ]);
  return [...alignedTable([head, ...rows], 5), "", ...notes(evaluation), ...(hasPaperRows ? [PAPER_NOTE] : [])];
}

/** A line a setting; numbers in full, what a setting does not have is empty. */
export function evaluationCsv(evaluation: Evaluation): string {
  const metrics = metricNames(evaluation);
  const head = [
    ...["setting", "solver", "steps", "schedule", "parameter", "reuse", "adjustment"],
    ...metrics.flatMap((name) => [
      name,
      ...["low", "high", "unbiased", "difference", "difference_low", "difference_high"].map(
        (part) => `${name}_${part}`,
      ),
    ]),
    ...["images_per_second", "speedup"].flatMap((name) => [name, `${name}_low`, `${name}_high`]),
    "multiply_adds",
  ];
  const lines = evaluation.settings.map(({ arm, metrics: found, images_per_second, speedup, multiply_adds }) => [
    ...[arm.name, arm.solver, arm.steps, arm.cached?.schedule.heuristic.name, arm.cached?.parameter],
    ...[arm.cached?.reuse, arm.cached?.adjustment?.file],
    ...metrics.flatMap((name) => {
      const metric: MetricResult | undefined = found[name];
      const { difference } = metric ?? {};
      return [
        metric?.value,
        metric?.low,
        metric?.high,
        metric?.unbiased,
        difference?.value,
        difference?.low,
        difference?.high,
      ];
    }),
    ...[images_per_second, speedup].flatMap(({ value, low, high }) => [value, low, high]),
    multiply_adds,
  ]);
  return `${[head, ...lines].map(csvLine).join("\n")}\n`;
}

/** Metrics that any setting has, in the order of the registry. */
function metricNames({ settings }: Evaluation): string[] {
  return [...new Set(settings.flatMap(({ metrics }) => Object.keys(metrics)))];
}

function isOfSet(name: string): boolean {
  return SET_METRICS.some((metric) => metric.name === name);
}

function metricCells(name: string, metric: MetricResult | undefined): string[] {
  const digits = 3;
  const own = metric === undefined ? "–" : withInterval(metric, digits);
  if (!isOfSet(name)) return [own];
  const corrected =
    metric?.unbiased === undefined || metric.unbiased === metric.value ? "" : `, ∞ ${metric.unbiased.toFixed(digits)}`;
  const { difference } = metric ?? {};
  return [`${own}${corrected}`, difference === undefined ? "–" : withInterval(difference, digits + 1, true)];
}

const PAPER_NOTE = `paper's: ${PAPER_SOURCE}; another model, other pictures, another extractor: compare the order of rows, not numbers`;

function paperCells({ arm }: EvaluatedSetting): string[] {
  const row = paperRowOf(arm);
  if (row === undefined) return ["|", "", ""];
  return [`| ${row.fid.toFixed(2)}`, row.imagesPerSecond.toFixed(2), row.speedup.toFixed(2)];
}

function withInterval({ value, low, high }: Estimate, digits: number, signed = false): string {
  const text = (number: number): string =>
    `${signed && number > 0 ? "+" : ""}${number.toFixed(digits).replace("-", "−")}`;
  // One batch or one prompt says nothing of how sure a number is.
  return low === high ? text(value) : `${text(value)} (${text(low)} to ${text(high)})`;
}

function cachingOf({ arm: { cached } }: EvaluatedSetting): string {
  if (cached === undefined) return "";
  const { heuristic } = cached.schedule;
  return `✓ ${heuristic.name}${cached.parameter === undefined ? "" : ` ${cached.parameter}`}, ${cached.reuse}`;
}

function notes({ sampling, trajectories, repeated, reference, extractor, machines }: Evaluation): string[] {
  const prompts = new Set(trajectories.map(({ prompt }) => prompt)).size;
  return [
    `${sampling.model.name}, guidance ${sampling.guidance_scale}, ${trajectories.length} pictures of ${prompts} prompts; 95 % intervals by bootstrap over prompts, of times over batches`,
    ...(repeated === undefined ? [] : [repeatedTrajectories(repeated)]),
    ...(reference === undefined
      ? []
      : [
          `features: ${extractor.slice(0, extractor.indexOf(":") + 9)}…, reference ${reference.name} (${reference.pictures} pictures); ∞: extrapolated to endlessly many pictures. Such figures compare settings of this model, and mean nothing beside those of other models, references or extractors`,
        ]),
    `${machines.join("; ")}; images/s from prompts to latents, decoding left out${machines.length > 1 ? "; several machines: compare speeds with care" : ""}`,
  ];
}
